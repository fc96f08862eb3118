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

package agent

import (
	"crypto/x509"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// told is the identity after the hub has named this CA as the one that signs.
func told(t *testing.T, present *identity.Identity, signer *pki.CA, former *pki.CA) *identity.Identity {
	t.Helper()
	cert, err := former.IssueServer([]string{"127.0.0.1"}, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	info := &pb.HubInfo{Authorities: [][]byte{signer.Certificate().Raw, former.Certificate().Raw}}
	next, err := present.Announced(info, []*x509.Certificate{cert.Leaf}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestACertificateOfAnEarlierCAIsRenewedSoon(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	h := newHub(t, c)
	present, err := identity.Load(h.node())
	g.Expect(err).NotTo(HaveOccurred())
	next, err := pki.NewCA(time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	former := told(t, present, next, h.ca)
	now := c.Now().Round(0)

	for random, delay := range map[float64]time.Duration{0: minRetry, 0.5: minRetry + changeover/2} {
		s := schedule{random: always(random)}
		s.observe(present, now)
		own := s.due
		s.observe(former, now)
		g.Expect(s.due).To(Equal(now.Add(delay)))
		s.observe(former, now.Add(time.Minute))
		g.Expect(s.due).To(Equal(now.Add(delay)), "it is not put off by looking at it")

		s = schedule{random: always(random)}
		s.observe(former, now)
		g.Expect(s.due).To(Equal(now.Add(delay)), "the agent has just started")

		late := own.Add(day)
		s = schedule{random: always(random)}
		s.observe(former, late)
		g.Expect(s.due).To(Equal(late), "it was due before that")
	}
}
