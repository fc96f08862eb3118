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
	"errors"
	"fmt"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	issued := func(serial string) syncv1alpha1.IssuedCertificate {
		return syncv1alpha1.IssuedCertificate{Serial: serial}
	}
	history := func(serials ...string) (certs []syncv1alpha1.IssuedCertificate) {
		for _, serial := range serials {
			certs = append(certs, issued(serial))
		}
		return certs
	}
	tests := map[string]struct {
		joins    int64
		earlier  []syncv1alpha1.IssuedCertificate
		join     int64
		wantJoin int64
		want     []syncv1alpha1.IssuedCertificate
	}{
		"the first":                 {0, nil, 1, 1, history("new")},
		"a renewal":                 {2, history("b", "a"), 2, 2, history("new", "b", "a")},
		"the fifth":                 {1, history("d", "c", "b", "a"), 1, 1, history("new", "d", "c", "b", "a")},
		"the sixth":                 {1, history("e", "d", "c", "b", "a"), 1, 1, history("new", "e", "d", "c", "b")},
		"after a restored backup":   {0, nil, 3, 3, history("new")},
		"of one that came before":   {3, history("c"), 2, 3, history("new", "c")},
		"more than there should be": {1, history("g", "f", "e", "d", "c", "b", "a"), 1, 1, history("new", "g", "f", "e", "d")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			status := &syncv1alpha1.EdgeNodeStatus{Joins: test.joins, Certificates: test.earlier, BootID: "kept"}
			record(status, test.join, issued("new"))
			g.Expect(status).To(Equal(&syncv1alpha1.EdgeNodeStatus{Joins: test.wantJoin, Certificates: test.want, BootID: "kept"}))
		})
	}
}

// statusPatch intercepts the record of a certificate.
func statusPatch(do func(ctx context.Context, c client.Client, node *syncv1alpha1.EdgeNode) error) interceptor.Funcs {
	return interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := do(ctx, c, obj.(*syncv1alpha1.EdgeNode)); err != nil {
				return err
			}
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	}
}

// A certificate that could not be recorded has never been issued.
func TestWhatIsNotRecordedIsNotHandedOut(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarnessWith(t, statusPatch(func(context.Context, client.Client, *syncv1alpha1.EdgeNode) error {
		return errors.New("etcd is on fire")
	}))

	status, body := h.join(h.token(Token{}), "edge-1")

	g.Expect(status).To(Equal(http.StatusInternalServerError))
	g.Expect(body).To(Equal(`{"error":"` + publicUnexpectedProblem + `"}` + "\n"))
	g.Expect(h.told()).To(BeEmpty())
	g.Expect(h.logs.String()).To(ContainSubstring("record the certificate in EdgeNode edge-1: etcd is on fire"))
}

// between changes the EdgeNode behind the back of the first attempt to record.
func between(change func(ctx context.Context, c client.Client, name string) error) interceptor.Funcs {
	done := false
	return statusPatch(func(ctx context.Context, c client.Client, node *syncv1alpha1.EdgeNode) error {
		if done {
			return nil
		}
		done = true
		return change(ctx, c, node.Name)
	})
}

// What has changed while a machine joins is judged again, and a certificate that was
// signed before is not handed out.
func TestWhatChangesBeforeTheRecordIsJudgedAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token  Token
		change func(context.Context, client.Client, string) error
		status int
		joins  int64
	}{
		"harmless":           {Token{}, changeNode(func(n *syncv1alpha1.EdgeNode) { n.Labels = map[string]string{"a": "b"} }), 200, 1},
		"revoked":            {Token{}, changeNode(func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true }), 403, 0},
		"another has joined": {Token{Node: "edge-1"}, changeNode(func(n *syncv1alpha1.EdgeNode) { n.Status.Joins = 1 }), 409, 1},
		"another has joined, and is to be replaced": {
			Token{Node: "edge-1", Rejoin: true}, changeNode(func(n *syncv1alpha1.EdgeNode) { n.Status.Joins = 7 }), 200, 8,
		},
		"deleted and made anew": {Token{}, func(ctx context.Context, c client.Client, name string) error {
			node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name}}
			if err := c.Delete(ctx, node); err != nil {
				return err
			}
			if err := c.Create(ctx, &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "another"}}); err != nil {
				return err
			}
			// The fake API server counts versions anew for a new object.
			return changeNode(func(n *syncv1alpha1.EdgeNode) { n.Labels = map[string]string{"a": "b"} })(ctx, c, name)
		}, 409, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarnessWith(t, between(test.change))

			status, body := h.join(h.token(test.token), "edge-1")

			g.Expect(status).To(Equal(test.status), body)
			node := h.edgeNode("edge-1")
			g.Expect(node.Status.Joins).To(Equal(test.joins))
			if test.status != http.StatusOK {
				g.Expect(node.Status.Certificates).To(BeEmpty())
				return
			}
			cert, _ := parseResponse(g, body)
			g.Expect(pki.NodeOf(cert)).To(Equal(pki.Node{Name: "edge-1", UID: string(node.UID), Join: test.joins}))
			g.Expect(node.Status.Certificates).To(HaveLen(1))
			g.Expect(node.Status.Certificates[0].Serial).To(Equal(serialOf(cert)))
		})
	}
}

// An EdgeNode that never rests does not keep a request for ever.
func TestConflictsAreBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	attempts := 0
	h := newHarnessWith(t, statusPatch(func(_ context.Context, _ client.Client, node *syncv1alpha1.EdgeNode) error {
		attempts++
		return apierrors.NewConflict(syncv1alpha1.GroupVersion.WithResource("edgenodes").GroupResource(), node.Name, errors.New("changed"))
	}))

	status, _ := h.join(h.token(Token{}), "edge-1")

	g.Expect(status).To(Equal(http.StatusInternalServerError))
	g.Expect(attempts).To(Equal(conflictBackoff.Steps))
	g.Expect(h.told()).To(BeEmpty())
}

func TestRetryConflicts(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewConflict(syncv1alpha1.GroupVersion.WithResource("edgenodes").GroupResource(), "x", errors.New("changed"))
	other := errors.New("other")
	tests := map[string]struct {
		outcomes []error
		want     error
	}{
		"success":            {[]error{nil}, nil},
		"after a conflict":   {[]error{fmt.Errorf("write: %w", conflict), nil}, nil},
		"another error":      {[]error{other}, other},
		"conflict and error": {[]error{conflict, other}, other},
		// Interrupted is what the library calls these, as if it had given up itself.
		"canceled": {[]error{context.Canceled}, context.Canceled},
		"deadline": {[]error{fmt.Errorf("read: %w", context.DeadlineExceeded)}, context.DeadlineExceeded},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			attempts := 0
			err := retryConflicts(t.Context(), func() error {
				attempts++
				return test.outcomes[attempts-1]
			})
			if test.want == nil {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(test.want))
			}
			g.Expect(attempts).To(Equal(len(test.outcomes)))
		})
	}
	t.Run("a caller that goes away", func(t *testing.T) {
		t.Parallel()
		g := NewWithT(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := retryConflicts(ctx, func() error {
			cancel()
			return conflict
		})
		g.Expect(err).To(MatchError(context.Canceled))
		g.Expect(retryConflicts(ctx, func() error { panic("not attempted") })).To(MatchError(context.Canceled))
	})
}
