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
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
)

// nodeStatusOf reads the status of an EdgeNode.
func nodeStatusOf(ctx SpecContext, node string) func(Gomega) *syncv1alpha1.EdgeNodeStatus {
	return func(g Gomega) *syncv1alpha1.EdgeNodeStatus {
		read := &syncv1alpha1.EdgeNode{}
		g.Expect(admin.Get(ctx, client.ObjectKey{Name: node}, read)).To(Succeed())
		return &read.Status
	}
}

// conditionsOf reads Connected and Synced of an EdgeNode.
func conditionsOf(ctx SpecContext, node string) func(Gomega) []string {
	return func(g Gomega) []string {
		conditions := nodeStatusOf(ctx, node)(g).Conditions
		return []string{summary(conditions, syncv1alpha1.ConditionConnected), summary(conditions, syncv1alpha1.ConditionSynced)}
	}
}

var _ = Describe("An EdgeNode", func() {
	It("shows the session of its node", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		create(ctx, edgeNode(name, nil))
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"False NeverConnected", "Unknown Offline"}))

		r.fleet.connect(name, "s1")
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))
		status := nodeStatusOf(ctx, name)(NewGomega(Fail))
		Expect(status.Session).To(And(HaveField("ID", "s1"), HaveField("Replica", "manager-0"), HaveField("RemoteAddress", "192.0.2.1:1")))
		Expect(status.AgentVersion).To(Equal("v1"))
		Expect(status.BootID).To(Equal("boot"))
		Expect(status.LastSeenTime).To(BeNil())

		r.fleet.leave(name)
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"False Disconnected", "Unknown Offline"}))
		status = nodeStatusOf(ctx, name)(NewGomega(Fail))
		Expect(status.Session).To(BeNil())
		Expect(status.LastSeenTime).NotTo(BeNil())
		Expect(status.AgentVersion).To(Equal("v1"))
	})

	It("is what node selectors and settings say, in the index", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		node := edgeNode(name, map[string]string{"region": "eu"})
		create(ctx, node)
		settings := func() *desired.NodeSettings {
			if settings, ok := r.index.Node(name); ok {
				return &settings
			}
			return nil
		}
		Eventually(settings).Should(Equal(&desired.NodeSettings{}))
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) {
			n.Spec.Suspend = true
			n.Annotations = map[string]string{syncv1alpha1.AnnotationApproveDeletes: "c0de"}
		})
		Eventually(settings).Should(Equal(&desired.NodeSettings{Suspend: true, Approval: "c0de"}))
		r.fleet.connect(name, "s1")
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "Unknown Suspended"}))

		sync := refSync(name, "settings", "settings", "region")
		sync.Spec.NodeSelector.MatchLabels = map[string]string{"region": "us"}
		create(ctx, sync)
		Eventually(synced(ctx, sync)).Should(Equal("False NoNodes"))
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Labels["region"] = "us" })
		Eventually(synced(ctx, sync)).Should(Equal("False NoObjects"))
	})

	It("tells of failures at once, and writes nothing while counts move", func(ctx SpecContext) {
		patient := testTiming
		patient.settle, patient.settleAtMost = time.Hour, time.Hour
		r, name := newRig(withTiming(patient)), newNamespace(ctx)
		node := edgeNode(name, nil)
		create(ctx, node)
		r.fleet.connect(name, "s1")
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))
		before, started := r.writes.of("/edgenodes/"+name+"/status"), time.Now()

		By("taking many updates")
		for pending := 0; time.Since(started) < 5*testTiming.statusInterval; pending++ {
			r.fleet.sumsUp(name, delivery.Summary{Desired: 10, Held: 10, Pending: pending % 3})
		}
		By("failing")
		r.fleet.sumsUp(name, delivery.Summary{Desired: 10, Held: 9, Failed: 1, Failures: []delivery.Failure{{
			Ref: "v1/ConfigMap/shop/a", Reason: delivery.FailedRejected, Message: "no", Since: time.Now(),
		}}})
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "False Failed"}))
		Expect(r.writes.of("/edgenodes/"+name+"/status") - before).To(Equal(1))
		Expect(nodeStatusOf(ctx, name)(NewGomega(Fail)).Failures).To(ConsistOf(And(
			HaveField("Object", "v1/ConfigMap/shop/a"), HaveField("Reason", "Rejected"))))
		Eventually(eventsOf(ctx, node)).Should(HaveKey("Rejected"))
	})

	It("counts objects when the counts have come to rest", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		create(ctx, edgeNode(name, nil))
		r.fleet.connect(name, "s1")
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))
		r.fleet.sumsUp(name, delivery.Summary{Desired: 20, Held: 18, Pending: 2})
		Eventually(nodeStatusOf(ctx, name)).Should(HaveField("Objects.Held", BeEquivalentTo(18)))
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "False Progressing"}))
	})

	It("says which deletions wait, and how to approve them", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		node := edgeNode(name, nil)
		create(ctx, node)
		r.fleet.connect(name, "s1")
		r.fleet.report(name, func(n *fakeNode) {
			n.state.Summary = delivery.Summary{Held: 20, HeldBack: 20, ApprovalCode: "c0de"}
		})
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "False DeletesHeldBack"}))
		command := "kubectl annotate edgenode " + name + " --overwrite sync.edgesync.io/approve-deletes=c0de"
		Expect(condition(nodeStatusOf(ctx, name)(NewGomega(Fail)), syncv1alpha1.ConditionSynced).Message).To(HaveSuffix(command))
		Eventually(eventsOf(ctx, node)).Should(HaveKeyWithValue("DeletesHeldBack", HaveSuffix(command)))
	})

	It("of which there are two machines says so once, and with a write for each session", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		node := edgeNode(name, nil)
		create(ctx, node)
		r.fleet.connect(name, "s0")
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))
		before := r.writes.of("/edgenodes/" + name + "/status")
		for _, session := range []string{"s1", "s2", "s3"} {
			r.fleet.connect(name, session)
			r.fleet.report(name, func(n *fakeNode) { n.state.Contenders = []string{"192.0.2.1:1", "192.0.2.2:2"} })
			Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True DuplicateIdentity", "True Synced"}))
			Eventually(nodeStatusOf(ctx, name)).Should(HaveField("Session.ID", session))
		}
		Eventually(eventsOf(ctx, node)).Should(HaveKeyWithValue("DuplicateIdentity", ContainSubstring("192.0.2.1:1 and 192.0.2.2:2")))
		Expect(r.writes.of("/edgenodes/"+name+"/status")-before).To(BeNumerically("<=", 4), "the first session may be seen before the contest")
		r.fleet.connect(name, "s4")
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))
	})

	It("that is revoked has no session, and nothing belongs on it", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		node := edgeNode(name, nil)
		create(ctx, node)
		r.fleet.connect(name, "s1") // it may linger
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"False Revoked", "Unknown Revoked"}))
		Expect(nodeStatusOf(ctx, name)(NewGomega(Fail)).Session).To(BeNil())
		_, known := r.index.Node(name)
		Expect(known).To(BeFalse())
		r.fleet.leave(name)
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = false })
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"False Disconnected", "Unknown Offline"}))
	})

	It("that is deleted is no longer in the index", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		node := edgeNode(name, nil)
		create(ctx, node)
		known := func() bool { _, known := r.index.Node(name); return known }
		Eventually(known).Should(BeTrue())
		remove(ctx, node)
		Eventually(known).Should(BeFalse())
	})

	It("made anew has nothing to do with the session of the one before", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		former := edgeNode(name, nil)
		create(ctx, former)
		r.fleet.connect(name, "s1")
		r.fleet.report(name, func(n *fakeNode) { n.state.Peer.UID = string(former.UID) })
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))

		remove(ctx, former)
		create(ctx, edgeNode(name, nil))
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"False NeverConnected", "Unknown Offline"}))
		known := func() bool { _, known := r.index.Node(name); return known }
		Expect(known()).To(BeFalse(), "what belongs on it must not be sent in that session")
		r.fleet.connect(name, "s2")
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"True Connected", "True Synced"}))
		Expect(known()).To(BeTrue())
	})

	It("outlives the manager with a single write if its node is back soon", func(ctx SpecContext) {
		r, name, gone, moved := newRig(), newNamespace(ctx), newNamespace(ctx), newNamespace(ctx)
		create(ctx, edgeNode(name, nil), edgeNode(gone, nil), edgeNode(moved, nil))
		for _, node := range []string{name, gone, moved} {
			r.fleet.connect(node, "s1")
			Eventually(conditionsOf(ctx, node)).Should(Equal([]string{"True Connected", "True Synced"}))
		}
		r.stop()
		By("the session of one having been with a manager of another name, as a Deployment gives each pod")
		other := &syncv1alpha1.EdgeNode{}
		Expect(admin.Get(ctx, client.ObjectKey{Name: moved}, other)).To(Succeed())
		other.Status.Session.Replica = "manager-1"
		Expect(admin.Status().Update(ctx, other)).To(Succeed())

		patient := testTiming
		patient.startGrace = 5 * time.Second
		next := newRig(withTiming(patient))
		By("reconciling the node before it is back: the second change is seen when the first one is done with")
		for _, code := range []string{"one", "two"} {
			change(ctx, edgeNode(name, nil), func(n *syncv1alpha1.EdgeNode) {
				n.Annotations = map[string]string{syncv1alpha1.AnnotationApproveDeletes: code}
			})
			Eventually(func() string { settings, _ := next.index.Node(name); return settings.Approval }).Should(Equal(code))
		}
		next.fleet.connect(name, "s2")
		Eventually(nodeStatusOf(ctx, name)).Should(HaveField("Session.ID", "s2"))
		for _, node := range []string{gone, moved} {
			Eventually(conditionsOf(ctx, node)).Should(Equal([]string{"False Disconnected", "Unknown Offline"}))
		}
		Expect(next.writes.of("/edgenodes/" + name + "/status")).To(Equal(1))
	})
})
