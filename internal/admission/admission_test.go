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

package admission

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
)

// edgeNode is the EdgeNode edge-1 with uid u2, which two machines have joined, and which
// is what change makes of it.
func edgeNode(change func(*syncv1alpha1.EdgeNode)) *syncv1alpha1.EdgeNode {
	node := &syncv1alpha1.EdgeNode{
		ObjectMeta: metav1.ObjectMeta{Name: "edge-1", UID: "u2"},
		Status:     syncv1alpha1.EdgeNodeStatus{Joins: 2},
	}
	if change != nil {
		change(node)
	}
	return node
}

func revoked(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true }

func deleting(n *syncv1alpha1.EdgeNode) {
	n.DeletionTimestamp, n.Finalizers = &metav1.Time{Time: time.Unix(1000, 0)}, []string{"example.com/finalizer"}
}

func formerly(uid string) func(*syncv1alpha1.EdgeNode) {
	return func(n *syncv1alpha1.EdgeNode) {
		n.Annotations = map[string]string{syncv1alpha1.AnnotationFormerUID: uid}
	}
}

func joined(times int64) func(*syncv1alpha1.EdgeNode) {
	return func(n *syncv1alpha1.EdgeNode) { n.Status.Joins = times }
}

func peer(uid string, join int64) pki.Node { return pki.Node{Name: "edge-1", UID: uid, Join: join} }

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		node *syncv1alpha1.EdgeNode
		peer pki.Node
		want string
	}{
		"the last that has joined":                 {edgeNode(nil), peer("u2", 2), ""},
		"one that joined before it":                {edgeNode(nil), peer("u2", 1), "another machine has joined as edge-1"},
		"one that joined after a backup was made":  {edgeNode(nil), peer("u2", 3), ""},
		"a node that knows of no join":             {edgeNode(joined(0)), peer("u2", 1), ""},
		"revoked":                                  {edgeNode(revoked), peer("u2", 2), "edge-1 is revoked"},
		"being deleted":                            {edgeNode(deleting), peer("u2", 2), "edge-1 is being deleted"},
		"deleted and made anew":                    {edgeNode(nil), peer("u1", 2), "deleted and made anew"},
		"deleted and made anew, with more joins":   {edgeNode(nil), peer("u1", 9), "deleted and made anew"},
		"from another cluster":                     {edgeNode(formerly("u1")), peer("u1", 2), ""},
		"from another cluster, and replaced there": {edgeNode(formerly("u1")), peer("u1", 1), "another machine has joined as edge-1"},
		"made here, when the former uid is named":  {edgeNode(formerly("u1")), peer("u2", 2), ""},
		"from a third cluster":                     {edgeNode(formerly("u1")), peer("u0", 2), "deleted and made anew"},
		"without a uid":                            {edgeNode(nil), peer("", 2), "deleted and made anew"},
		"without a uid, when the former is empty":  {edgeNode(formerly("")), peer("", 2), "deleted and made anew"},
		"of a former uid that is revoked": {
			edgeNode(func(n *syncv1alpha1.EdgeNode) { formerly("u1")(n); revoked(n) }), peer("u1", 2), "edge-1 is revoked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			err := Check(test.node, test.peer)
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(BeAssignableToTypeOf(&Refused{}))
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

// Whatever changes the answer of Check is seen by the watch.
func TestMayDifferSeesAllThatCheckLooksAt(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	states := []*syncv1alpha1.EdgeNode{
		edgeNode(nil), edgeNode(revoked), edgeNode(deleting), edgeNode(joined(1)), edgeNode(joined(3)),
		edgeNode(formerly("u1")), edgeNode(formerly("u2")), edgeNode(formerly("")),
		edgeNode(func(n *syncv1alpha1.EdgeNode) { n.UID = "u1" }),
	}
	for _, before := range states {
		for _, after := range states {
			differs := false
			for _, uid := range []string{"u0", "u1", "u2"} {
				for join := range int64(4) {
					differs = differs || (Check(before, peer(uid, join)) == nil) != (Check(after, peer(uid, join)) == nil)
				}
			}
			g.Expect(mayDiffer(before, after) || !differs).To(BeTrue(), "%v\n%v", before, after)
		}
		same := before.DeepCopy()
		same.ResourceVersion, same.Labels, same.Spec.Suspend = "9", map[string]string{"region": "eu"}, true
		same.Status.Session = &syncv1alpha1.EdgeNodeSession{ID: "s1"}
		g.Expect(mayDiffer(before, same)).To(BeFalse(), "a flapping node is not asked about")
	}
}

// source is what a reader reads: the objects, or the error.
type source struct {
	client.WithWatch
	reads int
}

func newSource(t *testing.T, err error, objects ...client.Object) *source {
	scheme := runtime.NewScheme()
	if err := syncv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s := &source{}
	s.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, options ...client.GetOption) error {
			s.reads++
			if err != nil {
				return err
			}
			return c.Get(ctx, key, obj, options...)
		},
	}).Build()
	return s
}

func TestGate(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	for name, test := range map[string]struct {
		cached, live *syncv1alpha1.EdgeNode // nil: there is none
		cachedErr    error
		liveErr      error
		refused      string // why it is refused, if it is
		failed       string // why it cannot be decided
		asksLive     bool
	}{
		"the cache admits": {cached: edgeNode(nil), liveErr: down},
		"both refuse":      {cached: edgeNode(revoked), live: edgeNode(revoked), refused: "is revoked", asksLive: true},
		"it is gone":       {refused: "there is no EdgeNode edge-1: join the node again", asksLive: true},
		"the cache knows only of the former": {
			cached: edgeNode(func(n *syncv1alpha1.EdgeNode) { n.UID = "u1" }), live: edgeNode(revoked), refused: "is revoked", asksLive: true,
		},
		"the cache refuses, and the API server is down": {cached: edgeNode(revoked), liveErr: down, failed: "connection refused", asksLive: true},
		"nothing is known, and the API server is down":  {cachedErr: down, liveErr: down, failed: "connection refused", asksLive: true},
		"the cache does not catch up":                   {live: edgeNode(nil), failed: "wait until the cache knows", asksLive: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				objects := func(node *syncv1alpha1.EdgeNode) []client.Object {
					if node == nil {
						return nil
					}
					return []client.Object{node}
				}
				cached, live := newSource(t, test.cachedErr, objects(test.cached)...), newSource(t, test.liveErr, objects(test.live)...)
				err := NewGate(cached, live).Admit(t.Context(), peer("u2", 2))
				refused := (*Refused)(nil)
				g.Expect(errors.As(err, &refused)).To(Equal(test.refused != ""), "%v", err)
				if text := test.refused + test.failed; text == "" {
					g.Expect(err).NotTo(HaveOccurred())
				} else {
					g.Expect(err).To(MatchError(ContainSubstring(text)))
				}
				if test.asksLive {
					g.Expect(live.reads).NotTo(BeZero())
				} else {
					g.Expect(live.reads).To(BeZero())
				}
			})
		})
	}
}

// A node that has just joined connects before the cache has its EdgeNode, or knows that it has
// been made anew, or released. It is let in when the cache knows it: so that what the cache
// tells from then on is news.
func TestGateWaitsForTheCache(t *testing.T) {
	t.Parallel()
	for name, stale := range map[string]*syncv1alpha1.EdgeNode{
		"joined":   nil,
		"released": edgeNode(revoked),
		"anew":     edgeNode(func(n *syncv1alpha1.EdgeNode) { n.UID = "u1" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				cached, live := newSource(t, nil), newSource(t, nil, edgeNode(nil))
				if stale != nil {
					g.Expect(cached.Create(t.Context(), stale)).To(Succeed())
				}
				admitted := make(chan error, 1)
				go func() { admitted <- NewGate(cached, live).Admit(t.Context(), peer("u2", 2)) }()
				time.Sleep(time.Second)
				g.Expect(admitted).NotTo(Receive())
				if stale != nil {
					g.Expect(cached.Delete(t.Context(), stale)).To(Succeed())
				}
				g.Expect(cached.Create(t.Context(), edgeNode(nil))).To(Succeed())
				g.Expect(<-admitted).To(Succeed())
				g.Expect(live.reads).To(Equal(1))
			})
		})
	}
}

// A node that is refused and connects again and again does not make the manager ask the
// API server each time; what is known of others, or seen by the cache, is not held up.
func TestGateRemembersRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		cached, live := newSource(t, nil, edgeNode(nil)), newSource(t, nil, edgeNode(nil))
		gate := NewGate(cached, live)
		for range 100 {
			g.Expect(gate.Admit(t.Context(), peer("u2", 1))).To(MatchError(ContainSubstring("another machine has joined as edge-1")))
		}
		g.Expect(live.reads).To(Equal(1))
		g.Expect(gate.Admit(t.Context(), peer("u2", 2))).To(Succeed())
		g.Expect(gate.Admit(t.Context(), peer("u1", 2))).To(MatchError(ContainSubstring("deleted and made anew")))
		g.Expect(live.reads).To(Equal(2))

		time.Sleep(refusalMemory + time.Millisecond)
		g.Expect(gate.Admit(t.Context(), peer("u2", 1))).NotTo(Succeed())
		g.Expect(live.reads).To(Equal(3))

		released := edgeNode(nil)
		g.Expect(cached.Get(t.Context(), client.ObjectKeyFromObject(released), released)).To(Succeed())
		released.Status.Joins = 1
		g.Expect(cached.Update(t.Context(), released)).To(Succeed())
		g.Expect(gate.Admit(t.Context(), peer("u2", 1))).To(Succeed(), "the cache knows better")
	})
}

// An API server that fails has refused nobody.
func TestGateForgetsFailures(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	live := newSource(t, errors.New("connection refused"))
	gate := NewGate(newSource(t, nil), live)
	for range 2 {
		g.Expect(gate.Admit(t.Context(), peer("u2", 1))).To(MatchError(ContainSubstring("connection refused")))
	}
	g.Expect(live.reads).To(Equal(2))
}
