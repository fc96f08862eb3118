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

package e2e

import (
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

var _ = Describe("Removing a sync", func() {
	It("takes the objects away, also from a node that is offline meanwhile", func(ctx SpecContext) {
		f := newFixture(ctx)
		present, away := f.start(ctx, "a"), f.start(ctx, "b")
		f.createMany(ctx, 3, func(int) string { return "1" })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		present.becomesMirrorOf(ctx, f.configMaps())
		away.becomesMirrorOf(ctx, f.configMaps())
		away.stop()

		removeAndWait(ctx, sync)
		Expect(present.files()).To(BeEmpty(), "when the sync is gone, connected nodes are done")
		away.start(ctx)
		away.becomesEmpty(ctx)
		away.becomesInSync(ctx)
	})

	It("with Retain leaves the objects where they are, and forgets them", func(ctx SpecContext) {
		f := newFixture(ctx)
		present, away := f.start(ctx, "a"), f.start(ctx, "b")
		objects := f.createMany(ctx, 3, func(int) string { return "1" })
		sync := f.sync("all", f.configMaps())
		sync.Spec.DeletionPolicy = syncv1alpha1.DeletionPolicyRetain
		create(ctx, sync)
		present.becomesMirrorOf(ctx, f.configMaps())
		away.becomesMirrorOf(ctx, f.configMaps())
		away.stop()

		removeAndWait(ctx, sync)
		change(ctx, objects[0], func(c *corev1.ConfigMap) { c.Data["key"] = "2" })
		away.start(ctx)
		for _, n := range []*node{present, away} {
			Eventually(n.Status).WithContext(ctx).Should(SatisfyAll(
				HaveField("InSync", BeTrue()), HaveField("Objects.Held", 0), HaveField("Objects.Removing", 0)))
			Expect(n.files()).To(HaveLen(3))
			Expect(n.fileOf(f.configMaps().named("object-0000"))).To(ContainSubstring(`key: "1"`))
		}
	})

	It("leaves an object that another sync wants until that one lets go, too", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		create(ctx, f.configMap("shared", "1"), f.configMap("other", "1"))
		all, one := f.sync("all", f.configMaps()), f.sync("one", f.configMaps().named("shared"))
		create(ctx, all, one)
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, one, 1, 1)

		removeAndWait(ctx, all)
		n.becomesMirrorOf(ctx, f.configMaps().named("shared"))
		becomesSynced(ctx, one, 1, 1)
		n.becomesInSync(ctx)

		removeAndWait(ctx, one)
		Expect(n.files()).To(BeEmpty())
	})
})

var _ = Describe("Suspending", func() {
	It("a sync leaves its objects as they are, until it is resumed", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		frozen, moving := f.configMap("frozen", "old"), f.configMap("moving", "old")
		doomed := f.configMap("doomed", "old")
		sync := f.sync("frozen", f.configMaps().named("frozen"))
		other := f.sync("doomed", f.configMaps().named("doomed"))
		create(ctx, frozen, moving, doomed, sync, other, f.sync("moving", f.configMaps().named("moving")))
		n.becomesMirrorOf(ctx, f.configMaps())

		for _, s := range []*syncv1alpha1.ObjectSync{sync, other} {
			change(ctx, s, func(s *syncv1alpha1.ObjectSync) { s.Spec.Suspend = true })
			has(ctx, s, "Synced", metav1.ConditionUnknown, "Suspended", "spec.suspend is set")
		}
		change(ctx, frozen, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		remove(ctx, doomed)
		// What was changed later has arrived; what is suspended would have before.
		change(ctx, moving, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		n.becomes(ctx, f.configMaps().named("moving"), "key: new")
		Expect(n.fileOf(f.configMaps().named("frozen"))).To(ContainSubstring("key: old"))
		Expect(n.fileOf(f.configMaps().named("doomed"))).To(ContainSubstring("key: old"))

		for _, s := range []*syncv1alpha1.ObjectSync{sync, other} {
			change(ctx, s, func(s *syncv1alpha1.ObjectSync) { s.Spec.Suspend = false })
		}
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 1)
	})

	It("a node leaves it as it is, until it is resumed", func(ctx SpecContext) {
		f := newFixture(ctx)
		suspended, moving := f.start(ctx, "a"), f.start(ctx, "b")
		settings, doomed := f.configMap("settings", "old"), f.configMap("doomed", "old")
		create(ctx, settings, doomed, f.sync("all", f.configMaps()))
		suspended.becomesMirrorOf(ctx, f.configMaps())
		moving.becomesMirrorOf(ctx, f.configMaps())

		suspended.change(ctx, func(n *syncv1alpha1.EdgeNode) { n.Spec.Suspend = true })
		suspended.has(ctx, "Synced", metav1.ConditionUnknown, "Suspended", "spec.suspend is set")
		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		remove(ctx, doomed)
		moving.becomesMirrorOf(ctx, f.configMaps())
		// Nor does it get anything when it comes back.
		suspended.stop()
		suspended.start(ctx)
		Eventually(suspended.Status).WithContext(ctx).Should(HaveField("Link.Complete", BeTrue()))
		Expect(suspended.files()).To(HaveLen(2))
		Expect(suspended.fileOf(f.configMaps().named("settings"))).To(ContainSubstring("key: old"))

		suspended.change(ctx, func(n *syncv1alpha1.EdgeNode) { n.Spec.Suspend = false })
		suspended.becomesMirrorOf(ctx, f.configMaps())
	})
})

var _ = Describe("The mass-delete guard", func() {
	const objects = 12

	// holdBack deletes a sync with more objects than the guard lets pass.
	holdBack := func(ctx SpecContext) (*fixture, *node, *syncv1alpha1.ObjectSync) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		f.createMany(ctx, objects, func(int) string { return "1" })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, objects)
		remove(ctx, sync)
		has(ctx, sync, "Stalled", metav1.ConditionTrue, "DeletesHeldBack", "kubectl annotate objectsync all --namespace "+f.namespace)
		n.has(ctx, "Synced", metav1.ConditionFalse, "DeletesHeldBack", "kubectl annotate edgenode "+n.NodeName)
		n.becomesMirrorOf(ctx, f.configMaps())
		return f, n, sync
	}

	It("holds deletions back until the command in the condition of the sync is run", func(ctx SpecContext) {
		f, n, sync := holdBack(ctx)
		Eventually(notesAbout).WithContext(ctx).WithArguments(f.namespace, "DeletesHeldBack").
			Should(ContainElement(ContainSubstring("kubectl annotate objectsync all")))
		status, err := statusOf(ctx, sync)
		Expect(err).NotTo(HaveOccurred())
		follow(ctx, messageOf(status.Conditions, "Stalled"))
		n.becomesEmpty(ctx)
		Eventually(exists).WithContext(ctx).WithArguments(sync).Should(BeFalse())
	})

	It("holds deletions back until the command in the condition of the node is run", func(ctx SpecContext) {
		_, n, sync := holdBack(ctx)
		Eventually(notesAbout).WithContext(ctx).WithArguments(metav1.NamespaceDefault, "DeletesHeldBack").
			Should(ContainElement(ContainSubstring("kubectl annotate edgenode " + n.NodeName)))
		Expect(n.get(ctx)).To(HaveField("Status.Objects.HeldBack", BeEquivalentTo(objects)))
		n.approve(ctx)
		n.becomesEmpty(ctx)
		Eventually(exists).WithContext(ctx).WithArguments(sync).Should(BeFalse())
	})

	It("still holds them back after both ends were restarted", func(ctx SpecContext) {
		f, n, sync := holdBack(ctx)
		Expect(world.KillManager()).To(Succeed())
		n.stop()
		n.start(ctx)
		Expect(world.StartManager(ctx)).To(Succeed())
		Eventually(n.Status).WithContext(ctx).Should(HaveField("Link.Complete", BeTrue()))
		has(ctx, sync, "Stalled", metav1.ConditionTrue, "DeletesHeldBack", "")
		n.becomesMirrorOf(ctx, f.configMaps())
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) {
			s.Annotations = map[string]string{syncv1alpha1.AnnotationApproveDeletes: "true"}
		})
		n.becomesEmpty(ctx)
	})
})

// follow runs the command that a message ends with, as it stands there.
func follow(ctx SpecContext, message string) {
	GinkgoHelper()
	command := regexp.MustCompile(`kubectl (.*)$`).FindStringSubmatch(message)
	Expect(command).To(HaveLen(2), message)
	_, err := world.Kubectl(ctx, strings.Fields(command[1])...)
	Expect(err).NotTo(HaveOccurred())
}

// approve does what the condition of the node says about deletions that are held back.
func (n *node) approve(ctx SpecContext) {
	GinkgoHelper()
	n.has(ctx, "Synced", metav1.ConditionFalse, "DeletesHeldBack", "kubectl annotate edgenode "+n.NodeName)
	edgeNode, err := n.get(ctx)
	Expect(err).NotTo(HaveOccurred())
	follow(ctx, messageOf(edgeNode.Status.Conditions, "Synced"))
}

// notesAbout are those of the Events in a namespace that have a reason.
func notesAbout(ctx SpecContext, namespace, reason string) ([]string, error) {
	list := &eventsv1.EventList{}
	err := admin.List(ctx, list, client.InNamespace(namespace))
	var notes []string
	for i := range list.Items {
		if list.Items[i].Reason == reason {
			notes = append(notes, list.Items[i].Note)
		}
	}
	return notes, err
}
