/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package command

import (
	"bytes"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/agent"
	"github.com/edgesync/edgesync/edge-agent/internal/link"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestPrintStatus(t *testing.T) {
	t.Parallel()
	failing := agent.Problem{Object: "ConfigMap/shop/a", State: "Failed", Message: "no room", Since: now.Add(-time.Minute)}
	for name, test := range map[string]struct {
		status agent.Status
		want   []string
	}{
		"in sync": {
			agent.Status{Running: true, InSync: true, Link: link.Status{Connected: true, Since: now.Add(-time.Hour)},
				CertificateExpires: now.Add(90 * 24 * time.Hour)},
			[]string{"connected for 1h0m0s", "In sync:      yes", "for 90d", "Renewal:      under way"},
		},
		"not running": {
			agent.Status{Link: link.Status{CompletedAt: now.Add(-72 * time.Hour)}, CertificateExpires: now.Add(-time.Hour)},
			[]string{"the agent does not run", "last sent everything 3d ago", "expired 1h0m0s ago", "Renewal:      the agent does it, once it runs"},
		},
		"renewal ahead": {
			agent.Status{Running: true, Renewal: agent.Renewal{Next: now.Add(50 * 24 * time.Hour)}},
			[]string{"Renewal:      at 2026-06-20T12:00:00Z, in 50d"},
		},
		"renewal failed": {
			agent.Status{Running: true, Renewal: agent.Renewal{Next: now.Add(time.Minute), Error: "no answer"}},
			[]string{"Renewal:      failed: no answer; next attempt in 1m0s"},
		},
		"a bad announcement": {
			agent.Status{Link: link.Status{HubInfoError: "no CA"}}, []string{"Announced:    no CA"},
		},
		"connecting": {
			agent.Status{Running: true}, []string{"Connection:   connecting"},
		},
		"waiting": {
			agent.Status{Running: true, Link: link.Status{LastError: "refused", NextAttempt: now.Add(12 * time.Second)}},
			[]string{"not connected: refused; next attempt in 12s", "unknown: all that is held is applied"},
		},
		"late": {
			agent.Status{Running: true, Link: link.Status{LastError: "refused", NextAttempt: now.Add(-time.Second)}},
			[]string{"next attempt in 0s"},
		},
		"incomplete": {
			agent.Status{Running: true, Link: link.Status{Connected: true}}, []string{"no: the hub has more to send"},
		},
		"a full disk": {
			agent.Status{Running: true, Link: link.Status{Connected: true, StoreError: "no space left"}}, []string{"no: no space left"},
		},
		"failing": {
			agent.Status{Running: true, Link: link.Status{Connected: true, Complete: true}, Problems: []agent.Problem{failing}, FurtherProblems: 2},
			[]string{"no: 3 not as they should be", "ConfigMap/shop/a     Failed  1m0s  no room", "and 2 more"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var out bytes.Buffer
			g.Expect(printStatus(&out, "text", &test.status, now)).To(Succeed())
			for _, want := range test.want {
				g.Expect(out.String()).To(ContainSubstring(want))
			}
		})
	}
}

// Messages quote the network: certificates of whoever answers, what a hub or a cluster says.
func TestStatusDoesNotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const hostile = "a\x1b[2Jb\tc\nd\u009be\rf"
	status := agent.Status{
		Running: true, Renewal: agent.Renewal{Next: now, Error: hostile}, Link: link.Status{LastError: hostile, HubInfoError: hostile},
		Problems: []agent.Problem{{Object: hostile, State: "Failed", Message: hostile, Since: now}},
	}
	var out bytes.Buffer
	g.Expect(printStatus(&out, "text", &status, now)).To(Succeed())
	g.Expect(strings.Count(out.String(), "a[2Jb c de f")).To(Equal(5))
	g.Expect(out.String()).NotTo(ContainSubstring("\x1b"))
}

func TestSpan(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(span(-time.Second)).To(Equal("0s"))
	g.Expect(span(90 * time.Second)).To(Equal("1m30s"))
	g.Expect(span(5 * time.Hour)).To(Equal("5h"))
	g.Expect(span(80 * time.Hour)).To(Equal("3d"))
}
