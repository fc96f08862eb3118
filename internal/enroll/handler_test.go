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
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

func parseResponse(g Gomega, body string) (*x509.Certificate, *joinapi.Response) {
	response := &joinapi.Response{}
	g.Expect(json.Unmarshal([]byte(body), response)).To(Succeed())
	block, _ := pem.Decode([]byte(response.Certificate))
	g.Expect(block).NotTo(BeNil())
	cert, err := x509.ParseCertificate(block.Bytes)
	g.Expect(err).NotTo(HaveOccurred())
	return cert, response
}

func TestJoin(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{Labels: map[string]string{"region": "eu"}})

	status, body := h.join(token, "edge-1")

	g.Expect(status).To(Equal(http.StatusOK), body)
	cert, response := parseResponse(g, body)
	g.Expect(pki.NodeOf(cert)).To(HaveField("Name", "edge-1"))
	g.Expect(cert.NotAfter).To(Equal(now.Add(time.Hour)))
	g.Expect(response.CA).To(Equal(string(h.ca.CertificatePEM())))
	node := &syncv1alpha1.EdgeNode{}
	g.Expect(h.client.Get(t.Context(), client.ObjectKey{Name: "edge-1"}, node)).To(Succeed())
	g.Expect(node.Labels).To(Equal(map[string]string{"region": "eu"}))
	g.Expect(h.tokens.List(t.Context())).To(ConsistOf(And(HaveField("Used", 1), HaveField("LastNode", "edge-1"))))
	g.Expect(h.events).To(HaveLen(1))
	g.Expect(h.events[0].note).To(ContainSubstring(fmt.Sprintf("%x", cert.SerialNumber)))
	g.Expect(h.events[0].kind + "/" + h.events[0].name).To(Equal("EdgeNode/edge-1"))
}

// Whatever is wrong with a token, the caller is told the same, and the administrator
// is told what it is.
func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token  func(*harness) string
		reason string
		about  string // kind of the object of the event
	}{
		"unknown":         {func(*harness) string { return "abcd1234." + strings.Repeat("a", 52) }, ReasonTokenUnknown, "Namespace"},
		"wrong":           {func(h *harness) string { return h.token(Token{})[:8] + "." + strings.Repeat("a", 52) }, ReasonTokenWrong, "Secret"},
		"bound elsewhere": {func(h *harness) string { return h.token(Token{Node: "edge-2"}) }, ReasonTokenBound, "Secret"},
		"other prefix":    {func(h *harness) string { return h.token(Token{NodePrefix: "core-"}) }, ReasonTokenBound, "Secret"},
		"expired": {func(h *harness) string {
			token := h.token(Token{})
			h.advance(time.Hour)
			return token
		}, ReasonTokenExpired, "Secret"},
		"used": {func(h *harness) string {
			token := h.token(Token{})
			h.join(token, "edge-2")
			return token
		}, ReasonTokenUsed, "Secret"},
		"revoked": {func(h *harness) string {
			token := h.token(Token{})
			if err := h.tokens.Revoke(h.t.Context(), token[:8]); err != nil {
				h.t.Fatal(err)
			}
			return token
		}, ReasonTokenUnknown, "Namespace"},
		"broken Secret": {func(h *harness) string {
			if err := h.client.Create(h.t.Context(), byHand(map[string]string{"expires": "never"})); err != nil {
				h.t.Fatal(err)
			}
			return "abcd1234." + strings.Repeat("a", 52)
		}, ReasonTokenInvalid, "Secret"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarness(t)
			token := test.token(h)

			status, body := h.join(token, "edge-1")

			g.Expect(status).To(Equal(http.StatusUnauthorized))
			g.Expect(body).To(Equal(`{"error":"the join token was refused"}` + "\n"))
			last := h.events[len(h.events)-1]
			g.Expect(last.reason).To(Equal(test.reason))
			g.Expect(last.kind).To(Equal(test.about))
			g.Expect(last.note).To(ContainSubstring("edge-1 from 192.0.2.1:1234"))
			g.Expect(h.logs.String()).To(ContainSubstring(test.reason))
			g.Expect(h.client.Get(t.Context(), client.ObjectKey{Name: "edge-1"}, &syncv1alpha1.EdgeNode{})).NotTo(Succeed())
			secret := token[len(token)-52:]
			g.Expect(h.logs.String()).NotTo(ContainSubstring(secret), "no token is logged")
			g.Expect(fmt.Sprint(h.events)).NotTo(ContainSubstring(secret))
		})
	}
}

// A good token that may not have this node is told why, and keeps its use.
func TestNodeRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		node   syncv1alpha1.EdgeNode
		token  Token
		status int
		text   string
	}{
		"exists": {syncv1alpha1.EdgeNode{}, Token{}, http.StatusConflict, "exists already"},
		"connected before": {
			syncv1alpha1.EdgeNode{Status: syncv1alpha1.EdgeNodeStatus{AgentVersion: "v0.1.0"}},
			Token{Node: "edge-1"}, http.StatusConflict, "--rejoin",
		},
		"revoked": {
			syncv1alpha1.EdgeNode{Spec: syncv1alpha1.EdgeNodeSpec{Revoked: true}},
			Token{Node: "edge-1", Rejoin: true}, http.StatusForbidden, "revoked",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			test.node.Name = "edge-1"
			h := newHarness(t, &test.node)
			token := h.token(test.token)

			status, body := h.join(token, "edge-1")

			g.Expect(status).To(Equal(test.status))
			g.Expect(body).To(ContainSubstring(test.text))
			g.Expect(h.tokens.List(t.Context())).To(HaveLen(1))
			g.Expect(h.events).To(HaveLen(1))
			g.Expect(h.events[0].kind + "/" + h.events[0].name).To(Equal("EdgeNode/edge-1"))
		})
	}
}

func TestJoinOfAPreparedNode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	prepared := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: "edge-1", Labels: map[string]string{"region": "eu"}}}
	h := newHarness(t, prepared)

	status, body := h.join(h.token(Token{Node: "edge-1", Labels: map[string]string{"region": "us"}}), "edge-1")

	g.Expect(status).To(Equal(http.StatusOK), body)
	node := &syncv1alpha1.EdgeNode{}
	g.Expect(h.client.Get(t.Context(), client.ObjectKey{Name: "edge-1"}, node)).To(Succeed())
	g.Expect(node.Labels).To(Equal(map[string]string{"region": "eu"}), "a node that exists keeps its labels")
}

// Many machines use a token at the same time, each through another replica: as many
// win as it has uses.
func TestConcurrentUses(t *testing.T) {
	t.Parallel()
	for _, uses := range []int{1, 2, 7} {
		t.Run(fmt.Sprint(uses), func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			// All of them read the token before any of them uses it.
			const machines = 8
			var read sync.WaitGroup
			read.Add(machines)
			var first sync.Map
			h := newHarnessWith(t, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
					if _, ok := obj.(*syncv1alpha1.EdgeNode); ok {
						if _, seen := first.LoadOrStore(key.Name, true); !seen {
							read.Done()
							read.Wait()
						}
					}
					return c.Get(ctx, key, obj, opts...)
				},
			})
			token := h.token(Token{Uses: uses})
			statuses := make(chan int, machines)
			for i := range machines {
				body := joinBody(t, token, fmt.Sprintf("edge-%d", i))
				replica := NewJoinHandler(h.handler.Config)
				go func() {
					status, _ := post(replica, body, "192.0.2.1:1")
					statuses <- status
				}()
			}
			counts := map[int]int{}
			for range machines {
				counts[<-statuses]++
			}

			g.Expect(counts).To(Equal(map[int]int{http.StatusOK: uses, http.StatusUnauthorized: machines - uses}))
			nodes := &syncv1alpha1.EdgeNodeList{}
			g.Expect(h.client.List(t.Context(), nodes)).To(Succeed())
			g.Expect(nodes.Items).To(HaveLen(uses))
			g.Expect(h.told()).NotTo(ContainElement(ReasonTokenUnknown), "whichever replica used it up")
		})
	}
}

// Within a replica the machines take turns, and the losers are told what happened.
func TestConcurrentUsesOfOneReplica(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{Uses: 3})
	const machines = 2 * failureBurst
	statuses := make(chan int, machines)
	for i := range machines {
		body := joinBody(t, token, fmt.Sprintf("edge-%d", i))
		go func() {
			status, _ := h.post(body, fmt.Sprintf("192.0.2.%d:1", i))
			statuses <- status
		}()
	}
	counts := map[int]int{}
	for range machines {
		counts[<-statuses]++
	}
	g.Expect(counts).To(Equal(map[int]int{http.StatusOK: 3, http.StatusUnauthorized: machines - 3}))
	g.Expect(h.told()).NotTo(ContainElement(ReasonTokenUnknown))
}

// Two tokens for any node race for one name: one gets it.
func TestConcurrentJoinsOfOneName(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var looked sync.WaitGroup
	looked.Add(2)
	h := newHarnessWith(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, ok := obj.(*syncv1alpha1.EdgeNode); ok {
				looked.Done()
				looked.Wait()
			}
			return c.Create(ctx, obj, opts...)
		},
	})
	statuses := make(chan int, 2)
	for range 2 {
		body := joinBody(t, h.token(Token{}), "edge-1")
		go func() {
			status, _ := h.post(body, "192.0.2.1:1")
			statuses <- status
		}()
	}
	g.Expect([]int{<-statuses, <-statuses}).To(ConsistOf(http.StatusOK, http.StatusConflict))
}

func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{})
	good := joinapi.Request{}
	g.Expect(json.Unmarshal(joinBody(t, token, "edge-1"), &good)).To(Succeed())
	with := func(change func(*joinapi.Request)) []byte {
		request := good
		change(&request)
		body, err := json.Marshal(request)
		g.Expect(err).NotTo(HaveOccurred())
		return body
	}
	tests := map[string]struct {
		body   []byte
		status int
		text   string
	}{
		"nothing":    {nil, http.StatusBadRequest, "not a request in JSON"},
		"not JSON":   {[]byte("hello"), http.StatusBadRequest, "not a request in JSON"},
		"other JSON": {[]byte(`{"token": 1}`), http.StatusBadRequest, "not a request in JSON"},
		"node name":  {with(func(r *joinapi.Request) { r.Node = "../edge-1" }), http.StatusBadRequest, "not a node name"},
		"token":      {with(func(r *joinapi.Request) { r.Token = "x" }), http.StatusBadRequest, "form <id>.<secret>"},
		"CSR":        {with(func(r *joinapi.Request) { r.CSR = "x" }), http.StatusBadRequest, "no PEM block"},
		"too large":  {with(func(r *joinapi.Request) { r.CSR = strings.Repeat("x", joinapi.MaxRequestBytes) }), http.StatusRequestEntityTooLarge, "larger than 65536"},
	}
	for name, test := range tests {
		status, body := h.post(test.body, name+":1")
		h.advance(failureInterval)
		g.Expect(status).To(Equal(test.status), name)
		g.Expect(body).To(ContainSubstring(test.text), name)
	}
	g.Expect(h.tokens.List(t.Context())).To(HaveLen(1), "the token was not touched")
}

func TestFailuresAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{Uses: 2 * failureBurst})
	for i := range failureBurst + 2 {
		status, _ := h.join(token, fmt.Sprintf("edge-%d", i))
		g.Expect(status).To(Equal(http.StatusOK), "success costs nothing")
	}
	for range failureBurst {
		status, _ := h.join("abcd1234."+strings.Repeat("a", 52), "edge-x")
		g.Expect(status).To(Equal(http.StatusUnauthorized))
	}

	status, _ := h.join(token, "edge-y")
	g.Expect(status).To(Equal(http.StatusTooManyRequests))
	status, _ = h.post(joinBody(t, token, "edge-y"), "192.0.2.2:1")
	g.Expect(status).To(Equal(http.StatusOK), "another address is not concerned")
	h.advance(failureInterval)
	status, _ = h.join(token, "edge-z")
	g.Expect(status).To(Equal(http.StatusOK))
}

func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{})
	for range maxConcurrent {
		h.handler.slots <- struct{}{}
	}
	status, _ := h.join(token, "edge-1")
	g.Expect(status).To(Equal(http.StatusServiceUnavailable))
	<-h.handler.slots
	status, _ = h.join(token, "edge-1")
	g.Expect(status).To(Equal(http.StatusOK))
}

// What goes wrong in the cluster is for the log and does not count against the caller.
func TestTroubleWithTheAPIServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarnessWith(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, ok := obj.(*syncv1alpha1.EdgeNode); ok {
				return errors.New("etcd is on fire")
			}
			return c.Create(ctx, obj, opts...)
		},
	})
	token := h.token(Token{Uses: failureBurst + 2})
	for range failureBurst + 1 {
		status, body := h.join(token, "edge-1")
		g.Expect(status).To(Equal(http.StatusInternalServerError))
		g.Expect(body).NotTo(ContainSubstring("fire"))
	}
	g.Expect(h.logs.String()).To(ContainSubstring("etcd is on fire"))
}

// A caller that sends half a request and then nothing is cut off.
func TestReadDeadlineIsSetAndCleared(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	writer := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	request := httptest.NewRequest(http.MethodPost, joinapi.Path, bytes.NewReader(joinBody(t, h.token(Token{}), "edge-1")))

	h.handler.ServeHTTP(writer, request)

	g.Expect(writer.Code).To(Equal(http.StatusOK))
	g.Expect(writer.deadlines).To(HaveLen(2))
	g.Expect(writer.deadlines[0]).NotTo(BeZero())
	g.Expect(writer.deadlines[1]).To(BeZero(), "joining may take longer than reading")
}

type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (w *deadlineWriter) SetReadDeadline(deadline time.Time) error {
	w.deadlines = append(w.deadlines, deadline)
	return nil
}

func FuzzJoin(f *testing.F) {
	h := newHarness(f)
	token := h.token(Token{Uses: 1 << 30})
	f.Add(joinBody(f, token, "edge-1"))
	f.Add(joinBody(f, token, "../x"))
	f.Add([]byte(`{"token":"abcd1234.` + strings.Repeat("a", 52) + `","node":"edge-1","csr":"-----BEGIN CERTIFICATE REQUEST-----"}`))
	f.Add([]byte(`{"token":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h.advance(failureInterval)
		status, answer := h.post(body, "192.0.2.1:1")
		switch status {
		case http.StatusOK:
			cert, _ := parseResponse(NewWithT(t), answer)
			if _, err := pki.NodeOf(cert); err != nil {
				t.Fatalf("issued %s: %v", cert.Subject, err)
			}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusConflict, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("status %d: %s", status, answer)
		}
	})
}
