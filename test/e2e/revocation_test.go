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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

var _ = Describe("A certificate", func() {
	var (
		f        *fixture
		first    *node
		settings *corev1.ConfigMap
	)
	BeforeEach(func(ctx SpecContext) {
		f = newFixture(ctx)
		first = f.start(ctx, "first")
		settings = f.configMap("settings", "old")
		create(ctx, settings, f.sync("all", f.configMaps()))
		first.becomesMirrorOf(ctx, f.configMaps())
		first.becomesInSync(ctx)
	})

	It("of a node that is revoked is refused by any manager, until it is released", func(ctx SpecContext) {
		began := time.Now()
		first.change(ctx, func(e *syncv1alpha1.EdgeNode) { e.Spec.Revoked = true })
		Eventually(first.Status).WithContext(ctx).WithPolling(10 * time.Millisecond).Should(HaveField("Link.Connected", BeFalse()))
		AddReportEntry("from the write of spec.revoked to the end of the session", time.Since(began).String())
		first.has(ctx, "Connected", metav1.ConditionFalse, "Revoked", "spec.revoked is set")
		first.has(ctx, "Synced", metav1.ConditionUnknown, "Revoked", "keeps what it held")
		first.isRefused(ctx, "the EdgeNode "+first.NodeName+" is revoked")

		restartManager(ctx)
		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		first.isRefused(ctx, "the EdgeNode "+first.NodeName+" is revoked")
		Expect(first.fileOf(f.configMaps().named("settings"))).To(ContainSubstring("key: old"))

		first.change(ctx, func(e *syncv1alpha1.EdgeNode) { e.Spec.Revoked = false })
		first.becomesMirrorOf(ctx, f.configMaps())
		first.becomesInSync(ctx)
	})

	It("of a node that is deleted is refused for good, also when its name is joined again", func(ctx SpecContext) {
		began := time.Now()
		remove(ctx, first.edgeNode())
		Eventually(first.Status).WithContext(ctx).WithPolling(10 * time.Millisecond).Should(HaveField("Link.Connected", BeFalse()))
		AddReportEntry("from the deletion of the EdgeNode to the end of the session", time.Since(began).String())
		first.isRefused(ctx, "there is no EdgeNode "+first.NodeName+": join the node again")

		second := f.start(ctx, "second", fleet.AgentOptions{Node: first.NodeName})
		second.becomesMirrorOf(ctx, f.configMaps())
		first.isRefused(ctx, "was deleted and made anew since this machine joined: join it again")
		second.hasTaken(ctx, f, first, settings)
	})

	It("of a machine whose place is taken by another is refused", func(ctx SpecContext) {
		second := f.start(ctx, "second", fleet.AgentOptions{Node: first.NodeName})
		second.becomesMirrorOf(ctx, f.configMaps())
		first.isRefused(ctx, "another machine has joined as "+first.NodeName+" since this one did")
		second.hasTaken(ctx, f, first, settings)
		edgeNode, err := second.get(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(edgeNode.Status.Joins).To(BeEquivalentTo(2))
		Expect(edgeNode.Status.Certificates).To(HaveLen(2))
	})
})

// isRefused waits until the agent says that the hub, asked anew, refuses it.
func (n *node) isRefused(ctx SpecContext, why string) {
	GinkgoHelper()
	refused := metric("edgesync_hub_refused_connections_total")
	Eventually(n.statusText).WithContext(ctx).Should(SatisfyAll(ContainSubstring(why), ContainSubstring("(HTTP 403)")))
	Eventually(metric).WithContext(ctx).WithArguments("edgesync_hub_refused_connections_total").Should(BeNumerically(">", refused))
}

// hasTaken expects that the node gets what changes, and the one that it has replaced does
// not, also from a manager that begins anew.
func (n *node) hasTaken(ctx SpecContext, f *fixture, from *node, settings *corev1.ConfigMap) {
	GinkgoHelper()
	restartManager(ctx)
	change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
	n.becomesMirrorOf(ctx, f.configMaps())
	n.becomesInSync(ctx)
	session := n.session(ctx)
	from.isRefused(ctx, "join")
	Expect(from.fileOf(f.configMaps().named("settings"))).To(ContainSubstring("key: old"))
	Expect(n.session(ctx)).To(Equal(session), "one that is refused disturbs nobody")
}

func restartManager(ctx SpecContext, args ...string) {
	GinkgoHelper()
	Expect(world.StopManager()).To(Succeed())
	Expect(world.StartManager(ctx, args...)).To(Succeed())
}
