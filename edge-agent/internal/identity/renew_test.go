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

package identity

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// renewals serves renewals to nodes, as answer has it.
func renewals(t testing.TB, answer func(csr string, peer pki.Peer) joinapi.Response) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+joinapi.RenewPath, func(w http.ResponseWriter, r *http.Request) {
		peer, err := pki.PeerOf(r.TLS)
		if err != nil {
			t.Error(err)
			return
		}
		var request joinapi.RenewRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
			return
		}
		_ = json.NewEncoder(w).Encode(answer(request.CSR, peer))
	})
	return mux
}

// honest renews as it should be done.
func honest(ca *pki.CA) func(string, pki.Peer) joinapi.Response {
	return func(csr string, peer pki.Peer) joinapi.Response {
		return issueFor(ca, csr, peer.Node, time.Hour, time.Now())
	}
}

// refuse answers with a status and a message.
func refuse(status int, message string, calls *atomic.Int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(joinapi.Error{Error: message})
	})
}

// withCertificate is the identity with another certificate for its key.
func withCertificate(t testing.TB, ca *pki.CA, i *Identity, lifetime time.Duration, now time.Time) *Identity {
	t.Helper()
	cert, err := ca.IssueNode(i.node, i.key.Public(), lifetime, now)
	if err != nil {
		t.Fatal(err)
	}
	next := *i
	next.cert = cert
	return &next
}

func TestRenew(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	joined := issued(t, ca, "edge-1")
	for name, present := range map[string]*Identity{
		"in time": joined,
		"late":    withCertificate(t, ca, joined, time.Minute, time.Now().Add(-time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			hub := serve(t, hubConfig(t, ca, "127.0.0.1"), renewals(t, honest(ca)))

			renewed, err := Renew(t.Context(), present, []string{hub}, time.Now)

			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(renewed.node).To(Equal(present.node))
			g.Expect(renewed.Hubs()).To(Equal(present.Hubs()))
			g.Expect(renewed.NotAfter()).To(BeTemporally("~", time.Now().Add(time.Hour), time.Minute))
			g.Expect(sameKey(renewed.key.Public(), present.key.Public())).To(BeFalse(), "the key is a new one")
		})
	}
}

// A hub that proves to be the right one may still answer nonsense.
func TestRenewChecksTheAnswer(t *testing.T) {
	t.Parallel()
	ca, evil := newCA(t), newCA(t)
	_, otherKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	otherCSR, err := pki.NewRequest(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	altered := func(change func(node *pki.Node)) func(string, pki.Peer) joinapi.Response {
		return func(csr string, peer pki.Peer) joinapi.Response {
			change(&peer.Node)
			return issueFor(ca, csr, peer.Node, time.Hour, time.Now())
		}
	}
	for name, test := range map[string]struct {
		answer func(string, pki.Peer) joinapi.Response
		err    string
	}{
		"another node":   {altered(func(n *pki.Node) { n.Name = "edge-2" }), "instead of"},
		"another uid":    {altered(func(n *pki.Node) { n.UID = "other" }), "instead of"},
		"another join":   {altered(func(n *pki.Node) { n.Join++ }), "instead of"},
		"another key":    {func(_ string, peer pki.Peer) joinapi.Response { return honest(ca)(string(otherCSR), peer) }, "another key"},
		"no certificate": {func(string, pki.Peer) joinapi.Response { return joinapi.Response{} }, "no PEM certificate"},
		"expired": {func(csr string, peer pki.Peer) joinapi.Response {
			return issueFor(ca, csr, peer.Node, time.Minute, time.Now().Add(-2*time.Minute))
		}, "has expired or is not yet valid"},
		"not under the CAs to trust": {func(csr string, peer pki.Peer) joinapi.Response {
			response := honest(ca)(csr, peer)
			response.CA = string(evil.CertificatePEM())
			return response
		}, "not valid under the CAs to trust"},
		"CAs that would not trust this hub": {honest(evil), "this hub is none to trust"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			hub := serve(t, hubConfig(t, ca, "127.0.0.1"), renewals(t, test.answer))
			_, err := Renew(t.Context(), issued(t, ca, "edge-1"), []string{hub}, time.Now)
			g.Expect(err).To(MatchError(ContainSubstring(test.err)))
		})
	}
}

func TestRenewDistrustsTheServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, evil := newCA(t), newCA(t)
	var calls atomic.Int32
	imposter := serve(t, hubConfig(t, evil, "127.0.0.1"), refuse(http.StatusForbidden, "x", &calls))
	elsewhere := serve(t, hubConfig(t, ca, "hub.example.com"), refuse(http.StatusForbidden, "x", &calls))

	_, err := Renew(t.Context(), issued(t, ca, "edge-1"), []string{imposter, elsewhere}, time.Now)

	g.Expect(err).To(MatchError(And(ContainSubstring("no CA that this machine trusts"), ContainSubstring("does not go by the name"))))
	g.Expect(calls.Load()).To(BeZero(), "nothing may be sent")
}

func TestRenewTriesAllAddresses(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	var busyCalls, refusals, calls atomic.Int32
	config := hubConfig(t, ca, "127.0.0.1")
	busy := serve(t, config, refuse(http.StatusServiceUnavailable, "busy", &busyCalls))
	refusing := serve(t, config, refuse(http.StatusForbidden, "join\nagain\x1b[2J", &refusals))
	willing := serve(t, config, renewals(t, func(csr string, peer pki.Peer) joinapi.Response {
		calls.Add(1)
		return honest(ca)(csr, peer)
	}))
	present := issued(t, ca, "edge-1")

	_, err := Renew(t.Context(), present, []string{unreachable(t), busy, "no address", willing}, time.Now)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(calls.Load()).To(BeEquivalentTo(1))

	_, err = Renew(t.Context(), present, []string{refusing, willing}, time.Now)
	g.Expect(calls.Load()).To(BeEquivalentTo(1), "what one replica refuses, so do all")
	var answered *HubError
	g.Expect(err).To(BeAssignableToTypeOf(answered))
	g.Expect(err).To(MatchError("the hub refuses: join again[2J (HTTP 403)"))

	_, err = Renew(t.Context(), present, []string{busy, unreachable(t)}, time.Now)
	g.Expect(err).To(MatchError(And(ContainSubstring("busy"), ContainSubstring("cannot reach the hub"))))
	g.Expect(errorsAs(err)).To(Equal(HubError{Status: 503, Message: "busy", RetryAfter: 7 * time.Second}))

	_, err = Renew(t.Context(), present, nil, time.Now)
	g.Expect(err).To(MatchError(ContainSubstring("no address")))
}

// Whenever the machine dies while a renewal is written, what is in the file opens the
// door of the hub: it is the old identity or the new one.
func TestCrashAtEachStepOfARenewal(t *testing.T) {
	t.Parallel()
	for _, seal := range []*SealKey{nil, someSealKey(t, 1)} {
		ca := newCA(t)
		hub := serve(t, hubConfig(t, ca, "127.0.0.1"), renewals(t, honest(ca)))
		present := issued(t, ca, "edge-1")
		renewed, err := Renew(t.Context(), present, []string{hub}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		total := len((&replacement{}).steps(nil))
		for done := range total + 1 {
			g := NewWithT(t)
			dir := stateWith(t, present, seal)
			file, err := newReplacement(filepath.Join(dir, FileName))
			g.Expect(err).NotTo(HaveOccurred())
			data, err := renewed.encode(seal)
			g.Expect(err).NotTo(HaveOccurred())
			for _, step := range file.steps(data)[:done] {
				g.Expect(step()).To(Succeed())
			}
			file.die()

			keeper, err := Open(dir, seal)

			g.Expect(err).NotTo(HaveOccurred())
			isNew := keeper.Current().SameCertificate(renewed)
			g.Expect(isNew || keeper.Current().SameCertificate(present)).To(BeTrue())
			g.Expect(isNew).To(Equal(done >= 4), "after %d steps", done)
			again, err := Renew(t.Context(), keeper.Current(), []string{hub}, time.Now)
			g.Expect(err).NotTo(HaveOccurred(), "the identity works after %d steps", done)
			g.Expect(keeper.Replace(keeper.Current(), again)).To(Succeed())
			g.Expect(Load(dir)).To(HaveField("NotAfter()", again.NotAfter()))
		}
	}
}
