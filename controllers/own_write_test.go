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
	scheme := runtime.NewScheme()
	g.Expect(syncv1alpha1.AddToScheme(scheme)).To(Succeed())
	c := fake.NewClientBuilder().WithScheme(scheme).
		WithObjects(edgeNode("edge-1", nil)).WithStatusSubresource(edgeNode("", nil)).Build()
	fleet := &fakeFleet{trigger: NewStatusTrigger(), nodes: map[string]*fakeNode{}}
	closed := make(chan struct{})
	close(closed)
	r := &edgeNodeReconciler{
		Options: Options{
			Index: desired.NewIndex(nil), Fleet: fleet, Replicas: newFakeReplicas().as("manager"), Replica: "manager",
			Primed: closed, timing: testTiming, unrest: &unrest{}, elected: closed,
		},
		client: c, recorder: events.NewFakeRecorder(10), memories: map[string]*nodeMemory{},
	}
	read := func() *syncv1alpha1.EdgeNode {
		node := edgeNode("edge-1", nil)
		g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(node), node)).To(Succeed())
		return node
	}
	reconcileAs := func(cached *syncv1alpha1.EdgeNode) ctrl.Result {
		r.saw(cached)
		result, err := r.Reconcile(t.Context(), nodeRequest("edge-1"))
		g.Expect(err).NotTo(HaveOccurred())
		return result
	}
	connected := func() string {
		return apimeta.FindStatusCondition(read().Status.Conditions, syncv1alpha1.ConditionConnected).Reason
	}

	reconcileAs(read())
	g.Expect(connected()).To(Equal(syncv1alpha1.ReasonNeverConnected))
	before := read()
	fleet.connect("edge-1", "s1")
	reconcileAs(before)
	g.Expect(connected()).To(Equal(syncv1alpha1.ReasonConnected))

	fleet.leave("edge-1")
	// In what the cache has the node has never been connected, as it now is not.
	g.Expect(reconcileAs(before).RequeueAfter).To(BeNumerically(">", 0))
	reconcileAs(read())
	g.Expect(connected()).To(Equal(syncv1alpha1.ReasonDisconnected))
}
