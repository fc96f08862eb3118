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
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
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
	for name, test := range joins {
		if test.status != http.StatusUnauthorized {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarness(t)
			request := test.request(h)

			status, body := serveOn(h.handler, request)

			g.Expect(status).To(Equal(http.StatusUnauthorized))
			g.Expect(body).To(Equal(`{"error":"the join token was refused"}` + "\n"))
			about, reason := "Secret", eventReasons[test.result]
			if test.result == tokenUnknown {
				about = "Namespace"
			}
			last := h.events[len(h.events)-1]
			g.Expect(last.reason).To(Equal(reason))
			g.Expect(last.kind).To(Equal(about))
			g.Expect(last.note).To(ContainSubstring("edge-1 from " + remote))
			g.Expect(h.logs.String()).To(ContainSubstring(reason))
			g.Expect(h.client.Get(t.Context(), client.ObjectKey{Name: "edge-1"}, &syncv1alpha1.EdgeNode{})).NotTo(Succeed())
		})
	}
}

// A good token that may not have this node is told why, and keeps its use.
func TestNodeRefusals(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"exists":             "EdgeNode edge-1 exists already: choose another name, or use a token made with --node edge-1",
		"joined before":      "EdgeNode edge-1 has already joined, and never connected",
		"connected before":   "EdgeNode edge-1 has already joined: to let another machine take its place, use a token made with --node edge-1 --rejoin",
		"revoked node":       "EdgeNode edge-1 is revoked",
		"node being deleted": "try again when it is gone",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarness(t)
			request := joins[name].request(h)
			used := h.uses()

			status, body := serveOn(h.handler, request)

			g.Expect(status).To(Equal(joins[name].status))
			g.Expect(body).To(ContainSubstring(text))
			g.Expect(h.uses()).To(Equal(used))
			last := h.events[len(h.events)-1]
			g.Expect(last.kind + "/" + last.name).To(Equal("EdgeNode/edge-1"))
			g.Expect(last.uid).To(BeEquivalentTo(h.edgeNode("edge-1").UID))
		})
	}
}

// uses is how often tokens have been used.
func (h *harness) uses() int {
	h.t.Helper()
	tokens, err := h.tokens.List(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	sum := 0
	for _, token := range tokens {
		sum += token.Used
	}
	return sum
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
