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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
)

var _ = Describe("An ObjectSync that is deleted", func() {
	var (
		ns, node string
		r        *rig
		sync     *syncv1alpha1.ObjectSync
	)

	// A node that is connected and holds the one object of the sync.
	BeforeEach(func(ctx SpecContext) {
		ns, r = newNamespace(ctx), newRig()
		node = ns + "-1"
		sync = refSync(ns, "settings", "settings", ns)
		create(ctx, configMap(ns, "settings"), edgeNode(node, map[string]string{ns: ""}), sync)
		r.fleet.connect(node, "s1")
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		Expect(sync.Finalizers).To(BeEmpty(), "it is the manager that adds it")
	})

	It("goes at once when no node has anything to remove", func(ctx SpecContext) {
		remove(ctx, sync)
		Expect(r.wants(node, "ConfigMap", ns, "settings")()).To(And(HaveField("Object", BeNil()), HaveField("Frozen", false)))
	})

	It("waits until a connected node has removed the object", func(ctx SpecContext) {
		r.fleet.is(node, delivery.InProgress, configMapKey(ns, "settings"))
		Expect(admin.Delete(ctx, sync)).To(Succeed())
		Eventually(synced(ctx, sync)).Should(Equal("False Deleting"))
		Expect(r.wants(node, "ConfigMap", ns, "settings")().Object).To(BeNil())
		r.fleet.is(node, delivery.InSync, configMapKey(ns, "settings"))
		Eventually(exists).WithArguments(ctx, sync).Should(BeFalse())
	})

	It("does not wait for a connected node forever", func(ctx SpecContext) {
		r.fleet.fails(node, delivery.FailedToRemove, "read-only file system", configMapKey(ns, "settings"))
		Expect(admin.Delete(ctx, sync)).To(Succeed())
		Eventually(synced(ctx, sync)).Should(Equal("False Deleting"))
		Eventually(exists).WithArguments(ctx, sync).Should(BeFalse())
	})

	It("does not wait for a node that goes away", func(ctx SpecContext) {
		r.fleet.is(node, delivery.HeldBack, configMapKey(ns, "settings"))
		Expect(admin.Delete(ctx, sync)).To(Succeed())
		Eventually(stalled(ctx, sync)).Should(Equal("True DeletesHeldBack"))
		r.fleet.leave(node)
		Eventually(exists).WithArguments(ctx, sync).Should(BeFalse())
	})

	It("does not wait for a node whose EdgeNode is deleted", func(ctx SpecContext) {
		r.fleet.is(node, delivery.HeldBack, configMapKey(ns, "settings"))
		Expect(admin.Delete(ctx, sync)).To(Succeed())
		Eventually(stalled(ctx, sync)).Should(Equal("True DeletesHeldBack"))
		remove(ctx, edgeNode(node, nil))
		r.fleet.leave(node) // which the admission sees to
		Eventually(exists).WithArguments(ctx, sync).Should(BeFalse())
	})

	It("stays while deletions on a connected node wait for approval, and says how to approve", func(ctx SpecContext) {
		key := configMapKey(ns, "settings")
		r.fleet.is(node, delivery.HeldBack, key)
		Expect(admin.Delete(ctx, sync)).To(Succeed())
		Eventually(stalled(ctx, sync)).Should(Equal("True DeletesHeldBack"))
		command := "kubectl annotate objectsync settings --namespace " + ns + " sync.edgesync.io/approve-deletes=true"
		Eventually(eventsOf(ctx, sync)).Should(HaveKeyWithValue("DeletesHeldBack", HaveSuffix(command)))

		By("outlasting the patience that other removals get")
		deleted := statusOf(ctx, sync)(NewGomega(Fail)).Conditions[0].LastTransitionTime
		Eventually(func() float64 { return metav1.Now().Sub(deleted.Time).Seconds() }).Should(BeNumerically(">", testTiming.deletePatience.Seconds()+2))
		Expect(exists(ctx, sync)).To(BeTrue())

		By("approving")
		Expect(r.index.Lookup(node, key).Approved).To(BeFalse())
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) {
			s.Annotations = map[string]string{syncv1alpha1.AnnotationApproveDeletes: "true"}
		})
		Eventually(func() bool { return r.index.Lookup(node, key).Approved }).Should(BeTrue())
		r.fleet.is(node, delivery.InProgress, key)
		Eventually(synced(ctx, sync)).Should(Equal("False Deleting"))
		Expect(stalled(ctx, sync)(NewGomega(Fail))).To(BeEmpty())
		r.fleet.is(node, delivery.InSync, key)
		Eventually(exists).WithArguments(ctx, sync).Should(BeFalse())
	})

	It("needs no approval when its namespace is deleted with all that is in it", func(ctx SpecContext) {
		key := configMapKey(ns, "settings")
		r.fleet.is(node, delivery.HeldBack, key)
		Expect(admin.Delete(ctx, sync)).To(Succeed())
		Eventually(stalled(ctx, sync)).Should(Equal("True DeletesHeldBack"))
		Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
		Eventually(func() bool { return r.index.Lookup(node, key).Approved }).Should(BeTrue())
		r.fleet.is(node, delivery.InSync, key)
		Eventually(exists).WithArguments(ctx, sync).Should(BeFalse())
	})

	It("sees what waits for approval behind what fails", func(ctx SpecContext) {
		other := configMapKey(ns, "other")
		all := selectorSync(ns, "all", "v1", "ConfigMap", node)
		create(ctx, configMap(ns, "other"), all)
		Eventually(statusOf(ctx, all)).Should(HaveField("Objects", BeNumerically(">=", 2)))
		r.fleet.fails(node, delivery.FailedToRemove, "no", other)
		r.fleet.is(node, delivery.HeldBack, configMapKey(ns, "settings"))
		remove(ctx, refSync(ns, "settings", "settings", ns)) // the other sync still wants the object
		Expect(admin.Delete(ctx, all)).To(Succeed())
		Eventually(stalled(ctx, all)).Should(Equal("True DeletesHeldBack"))
		r.fleet.connect(node, "s2")
		Eventually(exists).WithArguments(ctx, all).Should(BeFalse())
	})

	It("leaves an object to another sync that wants it", func(ctx SpecContext) {
		create(ctx, refSync(ns, "other", "settings", ns))
		Eventually(synced(ctx, refSync(ns, "other", "settings", ns))).Should(Equal("True Synced"))
		r.fleet.is(node, delivery.InProgress, configMapKey(ns, "settings"))
		remove(ctx, sync)
		Expect(r.wants(node, "ConfigMap", ns, "settings")().Object).NotTo(BeNil())
		remove(ctx, refSync(ns, "other", "settings", ns))
		Expect(r.wants(node, "ConfigMap", ns, "settings")().Object).To(BeNil())
	})

	It("is taken up by the next manager", func(ctx SpecContext) {
		key := configMapKey(ns, "settings")
		all := selectorSync(ns, "all", "v1", "ConfigMap", node)
		create(ctx, all)
		Eventually(synced(ctx, all)).Should(Equal("True Synced"))
		remove(ctx, sync)
		r.fleet.is(node, delivery.HeldBack, key)
		Expect(admin.Delete(ctx, all)).To(Succeed())
		Eventually(stalled(ctx, all)).Should(Equal("True DeletesHeldBack"))
		r.stop()

		By("starting another, to which the node connects a moment later")
		patient := testTiming
		patient.startGrace = time.Minute
		next := newRig(withTiming(patient))
		next.fleet.connect(node, "s2")
		next.fleet.is(node, delivery.HeldBack, key)

		By("approving: this way is open as long as the sync is there")
		change(ctx, all, func(s *syncv1alpha1.ObjectSync) {
			s.Annotations = map[string]string{syncv1alpha1.AnnotationApproveDeletes: "true"}
		})
		Eventually(func() bool {
			want := next.index.Lookup(node, key)
			return want.Object == nil && !want.Frozen && want.Approved
		}).Should(BeTrue())
		next.fleet.is(node, delivery.InProgress, key)
		Eventually(synced(ctx, all)).Should(Equal("False Deleting"))
		Expect(exists(ctx, all)).To(BeTrue())
		next.fleet.is(node, delivery.InSync, key)
		Eventually(exists).WithArguments(ctx, all).Should(BeFalse())
	})

	It("goes although its kind cannot be listed", func(ctx SpecContext) {
		unknown := selectorSync(ns, "unknown", "none.example.com/v1", "None", node)
		create(ctx, unknown)
		Eventually(stalled(ctx, unknown)).Should(Equal("True KindUnknown"))
		remove(ctx, unknown)
	})
})
