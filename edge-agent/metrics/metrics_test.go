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

package metrics

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func someState() (State, error) {
	return State{
		Connected: true, LastSync: time.Unix(1_700_000_000, 0), CertificateExpires: time.Unix(1_800_000_000, 0),
		Objects: map[string]int{"applied": 3, "failed": 0}, Nacks: map[string]uint64{"retry": 0},
		StoreBytes: 4096, Attempts: 5, Sessions: 2, ReceivedBytes: 7, SentBytes: 8, Repairs: 9,
	}, nil
}

func get(m *Metrics, path string, withPprof bool) (int, string) {
	answer := httptest.NewRecorder()
	m.handler(withPprof).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

func TestEveryMetricHasAValueFromTheStart(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	m := New([]string{"files"}, someState)
	described := make(chan *prometheus.Desc, 100)
	m.Registry().Describe(described)
	close(described)
	_, text := get(m, "/metrics", false)
	names := 0
	for desc := range described {
		name := strings.Split(desc.String(), `"`)[1]
		g.Expect(text).To(ContainSubstring("\n"+name), "a metric without a value")
		g.Expect(name).To(HavePrefix("edgesync_agent_"))
		names++
	}
	g.Expect(names).To(Equal(len(descs) + 3))
	g.Expect(text).To(And(
		ContainSubstring(`edgesync_agent_objects{state="applied"} 3`),
		ContainSubstring("edgesync_agent_last_sync_timestamp_seconds 1.7e+09"),
		ContainSubstring(`edgesync_agent_apply_duration_seconds_count{result="changed",target="files"} 0`)))
}

func TestWhatHappensIsCounted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	m := New([]string{"files"}, someState)
	m.Committed(3*time.Millisecond, nil)
	m.Committed(time.Millisecond, errors.New("full"))
	m.Worked("files", Failed, time.Second)
	_, text := get(m, "/metrics", false)
	g.Expect(text).To(And(
		ContainSubstring("edgesync_agent_commit_duration_seconds_count 2"),
		ContainSubstring("edgesync_agent_commit_errors_total 1"),
		ContainSubstring(`edgesync_agent_apply_duration_seconds_count{result="failed",target="files"} 1`)))
}

func TestAStateThatCannotBeReadHidesNothingElse(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	m := New([]string{"files"}, func() (State, error) { return State{}, errors.New("damaged") })
	code, text := get(m, "/metrics", false)
	g.Expect(code).To(Equal(http.StatusOK))
	g.Expect(text).To(And(ContainSubstring("edgesync_agent_commit_errors_total 0"), Not(ContainSubstring("edgesync_agent_connected"))))
}

func TestProfilesAreOnlyServedWhenWanted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	m := New(nil, someState)
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/debug/pprof/heap": 404, "/debug/pprof/": 404} {
		code, _ := get(m, path, false)
		g.Expect(code).To(Equal(want), path)
	}
	code, text := get(m, "/debug/pprof/goroutine?debug=1", true)
	g.Expect(code).To(Equal(http.StatusOK))
	g.Expect(text).To(ContainSubstring("goroutine profile"))
}

func TestServeEndsWithTheContext(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(nil, someState).Serve(ctx, listener, false) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String()+"/metrics", nil)
	g.Expect(err).NotTo(HaveOccurred())
	answer, err := client.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Body.Close()).To(Succeed())
	cancel()
	g.Expect(<-ended).To(Succeed())
}
