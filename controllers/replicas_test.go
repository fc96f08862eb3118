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
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
)

// counts are the totals of a sync: desired, synced, pending, failed, offline.
func counts(ctx SpecContext, sync client.Object) func(Gomega) []int32 {
	return func(g Gomega) []int32 {
		s := statusOf(ctx, sync)(g)
		return []int32{s.Desired, s.Synced, s.Pending, s.Failed, s.Offline}
	}
}

var _ = Describe("Two replicas", func() {
	var (
		ns            string
		replicas      *fakeReplicas
		electOther    chan struct{}
		leader, other *rig
		sync          *syncv1alpha1.ObjectSync
		nodes         []string
	)

	// Three nodes: one with each replica, and one that is away.
	BeforeEach(func(ctx SpecContext) {
		ns, replicas, electOther = newNamespace(ctx), newFakeReplicas("manager-0", "manager-1"), make(chan struct{})
		elected := make(chan struct{})
		close(elected)
		leader = newRig(asReplica("manager-0", replicas, elected))
		other = newRig(asReplica("manager-1", replicas, electOther))
		nodes = nil
		for i := range 3 {
			nodes = append(nodes, fmt.Sprintf("%s-%d", ns, i))
			create(ctx, edgeNode(nodes[i], map[string]string{ns: ""}))
		}
		sync = refSync(ns, "settings", "settings", ns)
		create(ctx, configMap(ns, "settings"))
		Expect(admin.Create(ctx, sync)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { // while a replica runs that leads
			replicas.set("manager-1", false)
			leader.fleet.leave(nodes[0])
			remove(ctx, sync)
		})
		leader.fleet.connect(nodes[0], "s0")
		other.fleet.connect(nodes[1], "s1")
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 2, 0, 0, 1}))
	})

	It("count their nodes together", func(ctx SpecContext) {
		Expect(statusOf(ctx, sync)(NewGomega(Fail)).Replicas).To(ConsistOf(And(
			HaveField("Name", "manager-1"), HaveField("Connected", BeEquivalentTo(1)), HaveField("Synced", BeEquivalentTo(1)))))
		Eventually(nodeStatusOf(ctx, nodes[0])).Should(HaveField("Session.Replica", "manager-0"))
		Eventually(nodeStatusOf(ctx, nodes[1])).Should(HaveField("Session.Replica", "manager-1"))
		Eventually(conditionsOf(ctx, nodes[2])).Should(Equal([]string{"False NeverConnected", "Unknown Offline"}))

		By("having a failure at the one that does not lead")
		other.fleet.fails(nodes[1], delivery.FailedToApply, "no", configMapKey(ns, "settings"))
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 1, 0, 1, 1}))
		Expect(synced(ctx, sync)(NewGomega(Fail))).To(Equal("False Failed"))
		Expect(statusOf(ctx, sync)(NewGomega(Fail)).Failures).To(ConsistOf(HaveField("Node", nodes[1])))
		Eventually(eventsOf(ctx, sync)).Should(HaveKey("ApplyFailed"))

		By("changing the object: what a replica has said of the one before does not count")
		leader.fleet.is(nodes[0], delivery.InProgress, configMapKey(ns, "settings"))
		other.fleet.is(nodes[1], delivery.InProgress, configMapKey(ns, "settings"))
		change(ctx, configMap(ns, "settings"), func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 0, 2, 0, 1}))
		leader.fleet.is(nodes[0], delivery.InSync, configMapKey(ns, "settings"))
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 1, 1, 0, 1}))
		other.fleet.is(nodes[1], delivery.InSync, configMapKey(ns, "settings"))
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))

		By("the other having no node any longer")
		other.fleet.leave(nodes[1])
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 1, 0, 0, 2}))
		Eventually(statusOf(ctx, sync)).Should(HaveField("Replicas", BeEmpty()))
		Eventually(conditionsOf(ctx, nodes[1])).Should(Equal([]string{"False Disconnected", "Unknown Offline"}))
	})

	It("are one fewer when one dies, and its nodes are seen to be away", func(ctx SpecContext) {
		Eventually(nodeStatusOf(ctx, nodes[1])).Should(HaveField("Session.Replica", "manager-1"))
		other.stop()
		replicas.set("manager-1", false)
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 1, 0, 0, 2}))
		Eventually(statusOf(ctx, sync)).Should(HaveField("Replicas", BeEmpty()))
		Eventually(conditionsOf(ctx, nodes[1])).Should(Equal([]string{"False Disconnected", "Unknown Offline"}))
	})

	It("have another leader when the one that leads dies", func(ctx SpecContext) {
		Eventually(nodeStatusOf(ctx, nodes[0])).Should(HaveField("Session.Replica", "manager-0"))
		leader.stop()
		replicas.set("manager-0", false)
		close(electOther)
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 1, 0, 0, 2}))
		Expect(statusOf(ctx, sync)(NewGomega(Fail)).Replicas).To(BeEmpty(), "what the leader knows of its own nodes is no part")
		Eventually(conditionsOf(ctx, nodes[0])).Should(Equal([]string{"False Disconnected", "Unknown Offline"}))
		other.fleet.connect(nodes[0], "s2")
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 2, 0, 0, 1}))
		Eventually(nodeStatusOf(ctx, nodes[0])).Should(HaveField("Session.Replica", "manager-1"))
	})

	It("end the older of two sessions of a node", func(ctx SpecContext) {
		Eventually(nodeStatusOf(ctx, nodes[0])).Should(HaveField("Session.ID", "s0"))
		other.fleet.connect(nodes[0], "s2") // and the connection to the leader has broken without a word
		Eventually(func() bool { _, has := leader.fleet.Node(nodes[0]); return has }).Should(BeFalse())
		Eventually(nodeStatusOf(ctx, nodes[0])).Should(HaveField("Session.ID", "s2"))
		_, has := other.fleet.Node(nodes[0])
		Expect(has).To(BeTrue())
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 2, 0, 0, 1}))
	})

	It("both have the objects of a sync taken away before it goes", func(ctx SpecContext) {
		other.fleet.is(nodes[1], delivery.InProgress, configMapKey(ns, "settings"))
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 1, 1, 0, 1}))
		Expect(admin.Delete(ctx, sync)).To(Succeed())
		Eventually(statusOf(ctx, sync)).Should(HaveField("Replicas", ConsistOf(HaveField("Removing", BeEquivalentTo(1)))))
		other.fleet.is(nodes[1], delivery.HeldBack, configMapKey(ns, "settings"))
		Eventually(stalled(ctx, sync)).Should(Equal("True DeletesHeldBack"))
		other.fleet.is(nodes[1], delivery.InSync, configMapKey(ns, "settings"))
		Eventually(exists).WithArguments(ctx, sync).Should(BeFalse())
	})

	It("roll out in one order, and the next leader goes on", func(ctx SpecContext) {
		id, key := desired.SourceID{Namespace: ns, Name: "settings"}, configMapKey(ns, "settings")
		one := intstr.FromInt32(1)
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) { s.Spec.Rollout = &syncv1alpha1.Rollout{MaxInProgress: &one} })
		Eventually(statusOf(ctx, sync)).Should(HaveField("Rollout.Through", "~"), "everybody has it already")
		released := func() string {
			return fmt.Sprint(leader.index.Released(id, nodes[0]), other.index.Released(id, nodes[1]))
		}
		Eventually(released).Should(Equal("true true"))

		By("changing the object")
		leader.fleet.is(nodes[0], delivery.InProgress, key)
		other.fleet.is(nodes[1], delivery.InProgress, key)
		change(ctx, configMap(ns, "settings"), func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		Eventually(released).Should(Equal("true false"))
		Eventually(synced(ctx, sync)).Should(Equal("False RollingOut"))
		Expect(released()).To(Equal("true false"))

		By("failing")
		leader.fleet.fails(nodes[0], delivery.FailedToApply, "no", key)
		Eventually(stalled(ctx, sync)).Should(Equal("True RolloutPaused"))
		status := statusOf(ctx, sync)(NewGomega(Fail))
		Expect(status.Rollout).To(And(HaveField("Paused", true), HaveField("Released", BeEquivalentTo(1)), HaveField("Waiting", BeEquivalentTo(2))))
		command := fmt.Sprintf("kubectl annotate objectsync settings --namespace %s --overwrite sync.edgesync.io/resume-rollout=%s", ns, status.Rollout.Revision)
		Eventually(eventsOf(ctx, sync)).Should(HaveKeyWithValue("RolloutPaused", And(ContainSubstring(nodes[0]), HaveSuffix(command))))

		By("having another leader, which is told to go on")
		leader.stop()
		replicas.set("manager-0", false)
		close(electOther)
		Expect(released()).To(Equal("true false"))
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) {
			s.Annotations = map[string]string{syncv1alpha1.AnnotationResumeRollout: status.Rollout.Revision}
		})
		Eventually(released).Should(Equal("true true"))
		other.fleet.is(nodes[1], delivery.InSync, key)
		Eventually(statusOf(ctx, sync)).Should(HaveField("Rollout.Through", "~"))
		Eventually(counts(ctx, sync)).Should(Equal([]int32{3, 1, 0, 0, 2}))
		Eventually(eventsOf(ctx, sync)).Should(HaveKey("RolloutComplete"))
	})
})
