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

package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/admission"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// joinedNode is the certificate of a node that has joined.
func (h *harness) joinedNode(name string) *x509.Certificate {
	h.t.Helper()
	status, body := h.join(h.token(Token{Node: name, Rejoin: true}), name)
	if status != http.StatusOK {
		h.t.Fatal(body)
	}
	cert, _ := parseResponse(NewWithT(h.t), body)
	return cert
}

// renewRequest is that of a connection which the certificate was presented on.
func renewRequest(cert *x509.Certificate, body io.Reader) *http.Request {
	request := newRequest(joinapi.RenewPath, body)
	if cert != nil {
		request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	}
	return request
}

func renewBody(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(joinapi.RenewRequest{CSR: string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (h *harness) renew(cert *x509.Certificate) (int, string) {
	h.t.Helper()
	return serveOn(h.renewal, renewRequest(cert, bytes.NewReader(renewBody(h.t))))
}

func TestRenew(t *testing.T) {
	t.Parallel()
	for reason, after := range map[string]time.Duration{
		syncv1alpha1.ReasonRenewed:            40 * time.Minute,
		syncv1alpha1.ReasonRenewedAfterExpiry: 25 * time.Hour,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarness(t)
			first := h.joinedNode("edge-1")
			h.advance(after)

			status, body := h.renew(first)

			g.Expect(status).To(Equal(http.StatusOK), body)
			second, response := parseResponse(g, body)
			g.Expect(response.CA).To(Equal(string(h.ca.CertificatePEM())))
			g.Expect(second.PublicKey).NotTo(Equal(first.PublicKey))
			g.Expect(second.NotAfter).To(Equal(h.now.Add(time.Hour)))
			node := h.edgeNode("edge-1")
			owner := pki.Node{Name: "edge-1", UID: string(node.UID), Join: 1}
			g.Expect(pki.NodeOf(second)).To(Equal(owner))
			g.Expect(pki.NodeOf(first)).To(Equal(owner), "both are good")
			g.Expect(admission.Check(node, owner)).To(Succeed())
			g.Expect(node.Status.Joins).To(BeEquivalentTo(1))
			g.Expect(node.Status.Certificates).To(HaveLen(2))
			g.Expect(node.Status.Certificates[0]).To(Equal(syncv1alpha1.IssuedCertificate{
				Serial: serialOf(second), Reason: reason, RemoteAddress: remote,
				IssuedTime: metav1.NewTime(h.now.Local()), NotAfter: metav1.NewTime(h.now.Add(time.Hour).Local()),
			}))
			g.Expect(node.Status.Certificates[1].Serial).To(Equal(serialOf(first)))
			g.Expect(node.Status.Certificates[1].Reason).To(Equal(syncv1alpha1.ReasonJoined))
			last := h.events[len(h.events)-1]
			g.Expect(last.reason).To(Equal(reason))
			g.Expect(last.kind + "/" + last.name).To(Equal("EdgeNode/edge-1"))
			g.Expect(last.note).To(And(ContainSubstring(serialOf(second)), ContainSubstring("in place of "+serialOf(first))))
		})
	}
}

// The name is that of the client certificate, whatever the request says.
func TestRenewalIgnoresWhatTheRequestSaysOfTheNode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	h.joinedNode("edge-2")
	mine := h.joinedNode("edge-1")
	body := bytes.Replace(renewBody(t), []byte("{"), []byte(`{"node": "edge-2", "token": "x", "uid": "y", `), 1)

	status, answer := serveOn(h.renewal, renewRequest(mine, bytes.NewReader(body)))

	g.Expect(status).To(Equal(http.StatusOK), answer)
	cert, _ := parseResponse(g, answer)
	g.Expect(pki.NodeOf(cert)).To(HaveField("Name", "edge-1"))
	g.Expect(h.edgeNode("edge-2").Status.Certificates).To(HaveLen(1))
}

var renewals = map[string]wanted{
	"renewed": {renewed, 200, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
	}, nil},
	"expired": {renewedAfterExpiry, 200, func(h *harness) *http.Request {
		request := renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
		h.advance(2 * time.Hour)
		return request
	}, nil},
	"last moment": {renewedAfterExpiry, 200, func(h *harness) *http.Request {
		request := renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
		h.advance(25 * time.Hour)
		return request
	}, nil},
	"long expired": {graceOver, 403, func(h *harness) *http.Request {
		request := renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
		h.advance(25*time.Hour + time.Second)
		return request
	}, nil},
	"no certificate": {noCertificate, 401, func(h *harness) *http.Request {
		return renewRequest(nil, bytes.NewReader(renewBody(h.t)))
	}, nil},
	"certificate of the hub": {noCertificate, 401, func(h *harness) *http.Request {
		return renewRequest(h.ca.Certificate(), bytes.NewReader(renewBody(h.t)))
	}, nil},
	"revoked": {notAdmitted, 403, func(h *harness) *http.Request {
		cert := h.joinedNode("edge-1")
		h.mustChange(func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
		return renewRequest(cert, bytes.NewReader(renewBody(h.t)))
	}, nil},
	"replaced": {notAdmitted, 403, func(h *harness) *http.Request {
		cert := h.joinedNode("edge-1")
		h.joinedNode("edge-1")
		return renewRequest(cert, bytes.NewReader(renewBody(h.t)))
	}, nil},
	"deleted": {notAdmitted, 403, func(h *harness) *http.Request {
		cert := h.joinedNode("edge-1")
		h.deleteNode("edge-1")
		return renewRequest(cert, bytes.NewReader(renewBody(h.t)))
	}, nil},
	"deleted and joined again": {notAdmitted, 403, func(h *harness) *http.Request {
		cert := h.joinedNode("edge-1")
		h.deleteNode("edge-1")
		h.joinedNode("edge-1")
		return renewRequest(cert, bytes.NewReader(renewBody(h.t)))
	}, nil},
	"not JSON": {malformed, 400, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), strings.NewReader("hello"))
	}, nil},
	"no key": {malformed, 400, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), strings.NewReader("{}"))
	}, nil},
	"too large": {tooLarge, 413, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), endless{})
	}, nil},
	"too slow": {timedOut, 408, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), failingReader{os.ErrDeadlineExceeded})
	}, nil},
	"slow API server": {timedOut, 503, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
	}, context.DeadlineExceeded},
	"gone": {canceled, 400, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
	}, context.Canceled},
	"trouble": {failed, 500, func(h *harness) *http.Request {
		return renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
	}, errors.New("etcd is on fire")},
	"too many at once": {busy, 503, func(h *harness) *http.Request {
		h.occupy(h.renewal.slots)
		return renewRequest(h.joinedNode("edge-1"), bytes.NewReader(renewBody(h.t)))
	}, nil},
	"too often": {rateLimited, 429, func(h *harness) *http.Request {
		cert := h.joinedNode("edge-1")
		for range renewalBurst {
			h.renew(cert)
		}
		return renewRequest(cert, bytes.NewReader(renewBody(h.t)))
	}, nil},
}

func TestEachRenewalCountsOnce(t *testing.T) {
	t.Parallel()
	testEachCountsOnce(t, renewals, renewResults, func(h *harness) (http.Handler, *prometheus.CounterVec) {
		return h.renewal, h.renewal.requests
	})
}

// Whoever is refused learns why, and so does the administrator.
func TestRefusedRenewals(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"long expired": "the certificate of edge-1 expired at 2026-03-01T13:00:00Z, more than the grace period of 24h ago: " +
			"on this machine run `edge-agent join --force` with a token made by `manager token create --node edge-1 --rejoin`",
		"revoked":                  "is revoked",
		"replaced":                 "another machine has joined as edge-1",
		"deleted":                  "there is no EdgeNode edge-1: join the node again",
		"deleted and joined again": "was deleted and made anew",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarness(t)
			request := renewals[name].request(h)
			uid := h.uidOf(request)

			_, body := serveOn(h.renewal, request)

			var refused joinapi.Error
			g.Expect(json.Unmarshal([]byte(body), &refused)).To(Succeed())
			g.Expect(refused.Error).To(ContainSubstring(text))
			last := h.events[len(h.events)-1]
			g.Expect(last.reason).To(Equal(ReasonRenewalRefused))
			g.Expect(last.note).To(ContainSubstring(refused.Error))
			g.Expect(last.uid).To(Equal(uid), "whom the certificate was issued to")
			g.Expect(h.logs.String()).To(ContainSubstring("Renewal refused"))
		})
	}
}

func (h *harness) uidOf(request *http.Request) string {
	peer, err := pki.PeerOf(request.TLS)
	if err != nil {
		h.t.Fatal(err)
	}
	return peer.UID
}

// A node that comes back again and again has five renewals, and then one a minute,
// whether they succeed or not; others do not notice.
func TestRenewalsAreLimitedByNode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	cert, other := h.joinedNode("edge-1"), h.joinedNode("edge-2")
	statuses := func(cert *x509.Certificate, times int) (codes []int) {
		for range times {
			code, _ := h.renew(cert)
			codes = append(codes, code)
		}
		return codes
	}
	g.Expect(statuses(cert, renewalBurst+2)).To(Equal([]int{200, 200, 200, 200, 200, 429, 429}))
	g.Expect(h.edgeNode("edge-1").Status.Certificates).To(HaveLen(maxRecorded))
	g.Expect(statuses(other, 1)).To(Equal([]int{200}), "from the same address")
	h.advance(renewalInterval)
	g.Expect(statuses(cert, 2)).To(Equal([]int{200, 429}))

	h.mustChange(func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
	h.advance(time.Hour / 2)
	told := len(h.told())
	g.Expect(statuses(cert, 100)).To(HaveExactElements(append([]any{403, 403, 403, 403, 403}, sameAs(95, 429)...)...))
	g.Expect(h.told()).To(HaveLen(told+renewalBurst), "Events are bounded as well")
	h.mustChange(func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = false })
	g.Expect(statuses(h.joinedNode("edge-1"), 1)).To(Equal([]int{200}), "the machine that took its place does not pay for it")
}

func sameAs(times, value int) (list []any) {
	for range times {
		list = append(list, value)
	}
	return list
}

// A restored backup has forgotten the joins: the next certificates remind it, so that a
// machine whose place is taken later stays out.
func TestRenewalRemindsOfTheJoin(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	h.joinedNode("edge-1")
	cert := h.joinedNode("edge-1")
	former, err := pki.NodeOf(cert)
	g.Expect(err).NotTo(HaveOccurred())
	h.deleteNode("edge-1")
	h.nodeThatIs(func(n *syncv1alpha1.EdgeNode) {
		n.Annotations = map[string]string{syncv1alpha1.AnnotationFormerUID: former.UID}
	})

	status, body := h.renew(cert)

	g.Expect(status).To(Equal(http.StatusOK), body)
	next, _ := parseResponse(g, body)
	g.Expect(pki.NodeOf(next)).To(Equal(former))
	g.Expect(h.edgeNode("edge-1").Status.Joins).To(BeEquivalentTo(2))
	g.Expect(pki.NodeOf(h.joinedNode("edge-1"))).To(HaveField("Join", BeEquivalentTo(3)))
	status, _ = h.renew(next)
	g.Expect(status).To(Equal(http.StatusForbidden))
}

func FuzzRenew(f *testing.F) {
	h := newHarness(f)
	cert := h.joinedNode("edge-1")
	owner, err := pki.NodeOf(cert)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(renewBody(f))
	f.Add(bytes.Replace(renewBody(f), []byte("{"), []byte(`{"node": "edge-2", `), 1))
	f.Add([]byte(`{"csr":"-----BEGIN CERTIFICATE REQUEST-----"}`))
	f.Add([]byte(`{"csr":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		// Without the limit by node, so that every input gets as far as it can.
		status, answer := serveOn(NewRenewHandler(h.renewal.Config), renewRequest(cert, bytes.NewReader(body)))
		switch status {
		case http.StatusOK:
			next, _ := parseResponse(NewWithT(t), answer)
			if node, err := pki.NodeOf(next); err != nil || node != owner {
				t.Fatalf("issued %s: %v", next.Subject, err)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("status %d: %s", status, answer)
		}
	})
}
