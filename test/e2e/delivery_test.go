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
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var _ = Describe("Delivery", func() {
	It("creates, updates and deletes an object on two nodes", func(ctx SpecContext) {
		f := newFixture(ctx)
		first, second := f.start(ctx, "a"), f.start(ctx, "b")
		settings := f.configMap("settings", "one")
		selected := f.configMaps().named("settings")
		sync := f.sync("settings", selected)
		create(ctx, settings, sync)

		first.becomesMirrorOf(ctx, selected)
		second.becomesMirrorOf(ctx, selected)
		Expect(first.fileOf(selected)).To(ContainSubstring("key: one"))
		becomesSynced(ctx, sync, 2, 1)
		Expect(sync.Status.ObjectResourceVersion).To(Equal(settings.ResourceVersion))

		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "two" })
		first.becomesMirrorOf(ctx, selected)
		second.becomesMirrorOf(ctx, selected)
		Expect(second.fileOf(selected)).To(ContainSubstring("key: two"))
		first.becomesInSync(ctx)

		remove(ctx, settings)
		first.becomesEmpty(ctx)
		second.becomesEmpty(ctx)
	})

	It("follows labels of objects and nodes", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		kept, moved := f.configMap("kept", "1"), f.configMap("moved", "1")
		sync := f.sync("all", f.configMaps())
		sync.Spec.NodeSelector.MatchLabels["region"] = "eu"
		create(ctx, kept, moved, sync)
		has(ctx, sync, "Synced", metav1.ConditionFalse, "NoNodes", "No EdgeNode matches spec.nodeSelector.")

		n.relabel(ctx, "region", "eu")
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 2)

		change(ctx, moved, func(c *corev1.ConfigMap) { c.Labels = nil })
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 1)

		n.relabel(ctx, "region", "us")
		n.becomesEmpty(ctx)
	})

	DescribeTable("ends with the newest of 50 objects of the same name",
		func(ctx SpecContext, leave, comeBack func(SpecContext, *node)) {
			f := newFixture(ctx)
			n := f.start(ctx, "a")
			selected := f.configMaps().named("phoenix")
			create(ctx, f.configMap("phoenix", "0"), f.sync("phoenix", selected))
			n.becomesMirrorOf(ctx, selected)

			leave(ctx, n)
			for i := range 50 {
				remove(ctx, f.configMap("phoenix", ""))
				create(ctx, f.configMap("phoenix", fmt.Sprint(i+1)))
			}
			comeBack(ctx, n)
			n.becomesMirrorOf(ctx, selected)
			Expect(n.fileOf(selected)).To(ContainSubstring(`key: "50"`))
			n.becomesInSync(ctx)

			leave(ctx, n)
			for i := range 10 {
				remove(ctx, f.configMap("phoenix", ""))
				create(ctx, f.configMap("phoenix", fmt.Sprint(i)))
			}
			remove(ctx, f.configMap("phoenix", ""))
			comeBack(ctx, n)
			n.becomesEmpty(ctx)
			n.becomesInSync(ctx)
		},
		Entry("while the agent works",
			func(SpecContext, *node) {}, func(SpecContext, *node) {}),
		Entry("while the agent is paused, with its connection open",
			func(_ SpecContext, n *node) { Expect(n.Pause()).To(Succeed()) },
			func(_ SpecContext, n *node) { Expect(n.Continue()).To(Succeed()) }),
		Entry("while the agent is away",
			func(_ SpecContext, n *node) { n.stop() },
			func(ctx SpecContext, n *node) { n.start(ctx) }),
	)

	It("catches up with what changed while the node was away", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		objects := f.createMany(ctx, 6, func(int) string { return "old" })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		n.becomesMirrorOf(ctx, f.configMaps())
		n.has(ctx, "Connected", metav1.ConditionTrue, "Connected", "")

		n.stop()
		n.has(ctx, "Connected", metav1.ConditionFalse, "Disconnected", "")
		remove(ctx, objects[0], objects[1], objects[2])
		change(ctx, objects[3], func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		create(ctx, f.configMap("new", "new"))
		has(ctx, sync, "Synced", metav1.ConditionUnknown, "Offline", "No matching node is connected.")
		Expect(n.fileOf(f.configMaps().named("object-0000"))).To(ContainSubstring("key: old"))

		n.start(ctx)
		n.becomesMirrorOf(ctx, f.configMaps())
		n.becomesInSync(ctx)
		becomesSynced(ctx, sync, 1, 4)
	})

	It("removes the last object that was deleted while the node was away", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		only := f.configMap("only", "1")
		create(ctx, only, f.sync("all", f.configMaps()))
		n.becomesMirrorOf(ctx, f.configMaps())

		n.stop()
		remove(ctx, only)
		n.start(ctx)
		n.becomesEmpty(ctx)
		n.becomesInSync(ctx)
	})

	It("delivers 2,000 objects to one node", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		f.createMany(ctx, 2000, func(i int) string { return text(i, 1024) })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		becomesSynced(ctx, sync, 1, 2000)
		n.becomesMirrorOf(ctx, f.configMaps())
		n.becomesInSync(ctx)
		Expect(n.Status(ctx)).To(HaveField("Objects", SatisfyAll(HaveField("Held", 2000), HaveField("Applied", 2000))))
		n.has(ctx, "Synced", metav1.ConditionTrue, "Synced", "")

		// Deleted one by one, by whoever may delete them: nothing is held back.
		Expect(admin.DeleteAllOf(ctx, &corev1.ConfigMap{}, f.inNamespace()...)).To(Succeed())
		n.becomesEmpty(ctx)
		n.becomesInSync(ctx)
	})

	It("delivers cluster-scoped objects", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		selected := selection{
			kind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, resource: "namespaces", labels: f.labels(),
		}
		north := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace + "-north", Labels: f.labels()}}
		south := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace + "-south", Labels: f.labels()}}
		sync := f.clusterSync("namespaces", selected)
		create(ctx, north, south, sync)
		n.becomesMirrorOf(ctx, selected)
		becomesSynced(ctx, sync, 1, 2)

		change(ctx, south, func(ns *corev1.Namespace) { ns.Annotations = map[string]string{"owner": "shop"} })
		n.becomesMirrorOf(ctx, selected)
		removeAndWait(ctx, north, south)
		n.becomesEmpty(ctx)
	})

	It("lets a namespace go, and takes its objects from the nodes", func(ctx SpecContext) {
		f := newFixture(ctx)
		present, away := f.start(ctx, "a"), f.start(ctx, "b")
		f.createMany(ctx, 12, func(int) string { return "1" })
		create(ctx, f.sync("all", f.configMaps()), f.sync("one", f.configMaps().named("object-0000")))
		present.becomesMirrorOf(ctx, f.configMaps())
		away.becomesMirrorOf(ctx, f.configMaps())
		away.stop()

		removeAndWait(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}})
		present.becomesEmpty(ctx)
		present.becomesInSync(ctx)

		// To a node that comes back it looks like any other mass deletion.
		away.start(ctx)
		away.approve(ctx)
		away.becomesEmpty(ctx)
		away.becomesInSync(ctx)
	})
})
