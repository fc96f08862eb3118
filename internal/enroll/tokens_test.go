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
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestListAndRevoke(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	broken := byHand(map[string]string{"expires": "never"})
	elsewhere := byHand(nil)
	elsewhere.Namespace, elsewhere.Name = "default", "edgesync-join-elsewhere"
	opaque := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "edgesync-join-opaque00"}}
	h := newHarness(t, broken, elsewhere, opaque)
	h.token(Token{Node: "edge-1"})
	h.token(Token{Uses: 3})

	tokens, err := h.tokens.List(t.Context())

	g.Expect(err).To(MatchError(And(ContainSubstring("edgesync-join-abcd1234"), ContainSubstring("expires"))))
	g.Expect(tokens).To(HaveLen(2))
	g.Expect(tokens[0].ID < tokens[1].ID).To(BeTrue())

	g.Expect(h.tokens.Revoke(t.Context(), tokens[0].ID)).To(Succeed())
	g.Expect(h.tokens.Revoke(t.Context(), "abcd1234")).To(Succeed(), "one that is not valid can be revoked too")
	g.Expect(h.tokens.Revoke(t.Context(), tokens[0].ID)).To(MatchError(ContainSubstring("there is no join token")))
	g.Expect(h.tokens.Revoke(t.Context(), "opaque00")).To(MatchError(ContainSubstring("is not a join token")))
	g.Expect(h.tokens.Revoke(t.Context(), "../x")).To(MatchError(ContainSubstring("is not the ID")))
	left, err := h.tokens.List(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(1))
	g.Expect(left[0].ID).To(Equal(tokens[1].ID))
}

// Whoever read a token before somebody else changed it cannot use it.
func TestTakeIsOptimistic(t *testing.T) {
	t.Parallel()
	for name, uses := range map[string]int{"last use": 1, "last but one": 2, "many": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarness(t)
			h.token(Token{Uses: uses})
			tokens, err := h.tokens.List(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			stale, err := h.tokens.get(t.Context(), tokens[0].ID)
			g.Expect(err).NotTo(HaveOccurred())

			g.Expect(h.tokens.take(t.Context(), stale.DeepCopy(), tokens[0], "edge-1")).To(Succeed())
			err = h.tokens.take(t.Context(), stale, tokens[0], "edge-2")

			g.Expect(apierrors.IsConflict(err)).To(BeTrue(), "%v", err)
			g.Expect(h.tokens.List(t.Context())).To(ConsistOf(And(
				HaveField("Used", 1), HaveField("Uses", uses), HaveField("LastNode", "edge-1"))))
		})
	}
}

// A token that the administrator has changed since is judged again, not used as it was.
func TestTakeSeesChangesOfTheAdministrator(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	h.token(Token{})
	tokens, err := h.tokens.List(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	stale, err := h.tokens.get(t.Context(), tokens[0].ID)
	g.Expect(err).NotTo(HaveOccurred())
	changed := stale.DeepCopy()
	changed.Data[keyNode] = []byte("edge-1")
	g.Expect(h.client.Update(t.Context(), changed)).To(Succeed())

	err = h.tokens.take(t.Context(), stale, tokens[0], "edge-2")

	g.Expect(apierrors.IsConflict(err)).To(BeTrue(), "%v", err)
	g.Expect(h.tokens.List(t.Context())).To(HaveLen(1))
}
