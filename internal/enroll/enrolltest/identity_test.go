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

package enrolltest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/admission"
	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// certificateOf is the certificate in an answer, which must be good.
func certificateOf(answer *httptest.ResponseRecorder) *x509.Certificate {
	GinkgoHelper()
	Expect(answer.Code).To(Equal(http.StatusOK), answer.Body.String())
	response := &joinapi.Response{}
	Expect(json.Unmarshal(answer.Body.Bytes(), response)).To(Succeed())
	block, _ := pem.Decode([]byte(response.Certificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	return cert
}

// joinAs lets a machine take the place of a node, or be the first.
func joinAs(ctx context.Context, node string) *x509.Certificate {
	GinkgoHelper()
	return certificateOf(join(ctx, newHandler(ctx), newToken(ctx, enroll.Token{Uses: 1, Node: node, Rejoin: true}), node))
}

func renew(ctx context.Context, handler http.Handler, cert *x509.Certificate) *httptest.ResponseRecorder {
	GinkgoHelper()
	body, err := json.Marshal(joinapi.RenewRequest{CSR: newCSR()})
	Expect(err).NotTo(HaveOccurred())
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, joinapi.RenewPath, bytes.NewReader(body))
	request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func newRenewHandler(ctx context.Context) http.Handler { return enroll.NewRenewHandler(newConfig(ctx)) }

func edgeNode(ctx context.Context, name string) *syncv1alpha1.EdgeNode {
	GinkgoHelper()
	node := &syncv1alpha1.EdgeNode{}
	Expect(admin.Get(ctx, client.ObjectKey{Name: name}, node)).To(Succeed())
	return node
}

// admitted is what the hub says to a node with this certificate.
func admitted(ctx context.Context, cert *x509.Certificate) error {
	GinkgoHelper()
	peer, err := pki.NodeOf(cert)
	Expect(err).NotTo(HaveOccurred())
	return admission.NewGate(manager, manager).Admit(ctx, peer)
}

var _ = Describe("A certificate", func() {
	It("is in the status of the EdgeNode, and in its Events", func(ctx SpecContext) {
		first := joinAs(ctx, "recorded")
		second := certificateOf(renew(ctx, newRenewHandler(ctx), first))

		node := edgeNode(ctx, "recorded")
		Expect(node.Status.Joins).To(BeEquivalentTo(1))
		Expect(node.Status.Certificates).To(HaveExactElements(
			And(HaveField("Serial", second.SerialNumber.Text(16)), HaveField("Reason", syncv1alpha1.ReasonRenewed),
				HaveField("RemoteAddress", "192.0.2.1:1234"), HaveField("NotAfter.Time", BeTemporally("==", second.NotAfter))),
			And(HaveField("Serial", first.SerialNumber.Text(16)), HaveField("Reason", syncv1alpha1.ReasonJoined)),
		))
		// What kubectl describe looks for.
		Eventually(func(g Gomega, ctx context.Context) {
			list := &eventsv1.EventList{}
			g.Expect(admin.List(ctx, list)).To(Succeed())
			var found []string
			for _, e := range list.Items {
				if e.Regarding.Kind == "EdgeNode" && e.Regarding.UID == node.UID {
					found = append(found, e.Reason)
				}
			}
			g.Expect(found).To(ContainElements(syncv1alpha1.ReasonJoined, syncv1alpha1.ReasonRenewed))
		}).WithContext(ctx).Should(Succeed())
	}, SpecTimeout(deadline))

	It("is refused once another machine has taken its place", func(ctx SpecContext) {
		first := joinAs(ctx, "replaced")
		Expect(admitted(ctx, first)).To(Succeed())

		second := joinAs(ctx, "replaced")

		Expect(edgeNode(ctx, "replaced").Status.Joins).To(BeEquivalentTo(2))
		Expect(admitted(ctx, first)).To(MatchError(ContainSubstring("another machine has joined")))
		Expect(admitted(ctx, second)).To(Succeed())
		Expect(renew(ctx, newRenewHandler(ctx), first).Code).To(Equal(http.StatusForbidden))
	}, SpecTimeout(deadline))

	It("is refused once the EdgeNode was deleted, although another has the name now", func(ctx SpecContext) {
		first := joinAs(ctx, "deleted")
		Expect(admin.Delete(ctx, &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: "deleted"}})).To(Succeed())
		Expect(admitted(ctx, first)).To(MatchError(ContainSubstring("there is no EdgeNode")))

		second := certificateOf(join(ctx, newHandler(ctx), newToken(ctx, enroll.Token{Uses: 1}), "deleted"))

		Expect(admitted(ctx, first)).To(MatchError(ContainSubstring("deleted and made anew")))
		Expect(admitted(ctx, second)).To(Succeed())
		Expect(renew(ctx, newRenewHandler(ctx), first).Code).To(Equal(http.StatusForbidden))
	}, SpecTimeout(deadline))

	It("is not renewed while the EdgeNode is revoked", func(ctx SpecContext) {
		cert := joinAs(ctx, "revoked")
		node := edgeNode(ctx, "revoked")
		before := node.DeepCopy()
		node.Spec.Revoked = true
		Expect(admin.Patch(ctx, node, client.MergeFrom(before))).To(Succeed())

		answer := renew(ctx, newRenewHandler(ctx), cert)

		Expect(answer.Code).To(Equal(http.StatusForbidden))
		Expect(answer.Body.String()).To(ContainSubstring("is revoked"))
		Expect(edgeNode(ctx, "revoked").Status.Certificates).To(HaveLen(1))
	}, SpecTimeout(deadline))

	It("is recorded, whatever else is written at the same time", func(ctx SpecContext) {
		first := joinAs(ctx, "busy")
		serials := make(chan string)
		const renewals = 4
		for range renewals {
			handler := newRenewHandler(ctx)
			go func() {
				defer GinkgoRecover()
				serials <- certificateOf(renew(ctx, handler, first)).SerialNumber.Text(16)
			}()
		}
		want := []any{first.SerialNumber.Text(16)}
		for range renewals {
			want = append(want, <-serials)
		}
		var recorded []string
		for _, cert := range edgeNode(ctx, "busy").Status.Certificates {
			recorded = append(recorded, cert.Serial)
		}
		Expect(recorded).To(ConsistOf(want...))
		Expect(edgeNode(ctx, "busy").Status.Joins).To(BeEquivalentTo(1))
	}, SpecTimeout(deadline))

	It("goes to one machine alone if two race for a name", func(ctx SpecContext) {
		codes := make(chan int)
		for range 2 {
			handler, token := newHandler(ctx), newToken(ctx, enroll.Token{Uses: 1, Node: "raced"})
			go func() {
				defer GinkgoRecover()
				codes <- join(ctx, handler, token, "raced").Code
			}()
		}
		Expect([]int{<-codes, <-codes}).To(ConsistOf(http.StatusOK, http.StatusConflict))
		Expect(edgeNode(ctx, "raced").Status.Joins).To(BeEquivalentTo(1))
	}, SpecTimeout(deadline))
})

var _ = Describe("A token from a Git repository", func() {
	// The secret of the token, and its hash as `printf %s "$secret" | sha256sum` prints it.
	const (
		secret = "5f0c6ac2b1f1d8b3c1f4de0d2f6f7a1be4a2b7c90d8e6f5a4b3c2d1e0f9a8b7c"
		hash   = "880c11f5cab97435215c357e4e4b83575d513f97b4cea688233e1a5341ba3a62"
	)
	manifest := func(id, key, value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "sync.edgesync.io/join-token",
			"metadata":   map[string]any{"namespace": namespace, "name": "edgesync-join-" + id},
			"stringData": map[string]any{"secret-sha256": hash, "expires": time.Now().Add(time.Hour).Format(time.RFC3339), key: value},
		}}
	}
	apply := func(ctx context.Context, object *unstructured.Unstructured) {
		GinkgoHelper()
		Expect(admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("git"), client.ForceOwnership)).To(Succeed())
	}

	It("is not revived by being applied again", func(ctx SpecContext) {
		apply(ctx, manifest("gitops01", "node-prefix", "git-"))
		token := joinapi.FormatToken("gitops01", secret)
		Expect(join(ctx, newHandler(ctx), token, "git-1").Code).To(Equal(http.StatusOK))
		Expect(join(ctx, newHandler(ctx), token, "git-2").Code).To(Equal(http.StatusUnauthorized))

		apply(ctx, manifest("gitops01", "node-prefix", "git-"))

		Expect(join(ctx, newHandler(ctx), token, "git-2").Code).To(Equal(http.StatusUnauthorized))
		stored := &corev1.Secret{}
		Expect(admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "edgesync-join-gitops01"}, stored)).To(Succeed())
		Expect(stored.Data).To(And(HaveKeyWithValue("used", []byte("1")), HaveKeyWithValue("last-node", []byte("git-1"))))
		Eventually(reasons).WithContext(ctx).WithArguments(namespace, "Secret", "edgesync-join-gitops01").Should(ContainElement(enroll.ReasonTokenUsed))

		By("being given more uses")
		apply(ctx, manifest("gitops01", "uses", "2"))
		Expect(join(ctx, newHandler(ctx), token, "git-2").Code).To(Equal(http.StatusOK))
		Expect(join(ctx, newHandler(ctx), token, "git-3").Code).To(Equal(http.StatusUnauthorized))
	}, SpecTimeout(deadline))
})
