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

package controllers

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
)

func TestOwnWriteIsAwaited(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	at := func(version string) client.Object {
		return &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}
	}
	now := time.Unix(1e9, 0)
	var w ownWrite
	g.Expect(w.unseen(at("5"), now)).To(BeFalse(), "nothing was written")
	w.written(at("10"), now)
	g.Expect(w.unseen(at("9"), now)).To(BeTrue())
	g.Expect(w.unseen(at("10"), now)).To(BeFalse())
	g.Expect(w.unseen(at("11"), now)).To(BeFalse())
	g.Expect(w.unseen(at("9"), now.Add(cachePatience))).To(BeFalse(), "the API server went back")
}

func TestStatusThatTheCacheIsLateWith(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var stale *syncv1alpha1.EdgeNode
	late := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, options ...client.GetOption) error {
		if stale != nil {
			stale.DeepCopyInto(obj.(*syncv1alpha1.EdgeNode))
			return nil
		}
		return c.Get(ctx, key, obj, options...)
	}}
	scheme := runtime.NewScheme()
	g.Expect(syncv1alpha1.AddToScheme(scheme)).To(Succeed())
	c := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(late).
		WithObjects(edgeNode("edge-1", nil)).WithStatusSubresource(edgeNode("", nil)).Build()
	fleet := &fakeFleet{trigger: NewStatusTrigger(), nodes: map[string]*fakeNode{}}
	primed := make(chan struct{})
	close(primed)
	r := &edgeNodeReconciler{
		Options: Options{Index: desired.NewIndex(nil), Fleet: fleet, Replica: "manager", Primed: primed, timing: testTiming},
		client:  c, recorder: events.NewFakeRecorder(10), memories: map[string]*nodeMemory{},
	}
	reconcile := func() ctrl.Result {
		result, err := r.Reconcile(t.Context(), nodeRequest("edge-1"))
		g.Expect(err).NotTo(HaveOccurred())
		return result
	}
	connected := func() string {
		node := edgeNode("edge-1", nil)
		g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(node), node)).To(Succeed())
		return apimeta.FindStatusCondition(node.Status.Conditions, syncv1alpha1.ConditionConnected).Reason
	}

	reconcile()
	g.Expect(connected()).To(Equal(syncv1alpha1.ReasonNeverConnected))
	before := edgeNode("edge-1", nil)
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(before), before)).To(Succeed())
	fleet.connect("edge-1", "s1")
	reconcile()
	g.Expect(connected()).To(Equal(syncv1alpha1.ReasonConnected))

	fleet.leave("edge-1")
	stale = before // in which the node has never been connected, as it now is not
	g.Expect(reconcile().RequeueAfter).To(BeNumerically(">", 0))
	stale = nil
	reconcile()
	g.Expect(connected()).To(Equal(syncv1alpha1.ReasonDisconnected))
}
