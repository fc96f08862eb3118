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
	"context"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

var _ = Describe("A node with an API server of its own", Ordered, func() {
	// edge is the administrator of the edge.
	var (
		edge       client.Client
		kubeconfig string
	)

	BeforeAll(func(ctx SpecContext) {
		cluster, err := controlplane.Start(ctx, controlplane.Config{
			Dir: filepath.Join(filepath.Dir(agentConfig), "edge-cluster"), UnsafeNoFsync: true,
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(cluster.Stop)
		kubeconfig = cluster.KubeconfigPath()
		edge, err = client.New(cluster.RESTConfig(), client.Options{Scheme: admin.Scheme()})
		Expect(err).NotTo(HaveOccurred())
	})

	start := func(ctx SpecContext, f *fixture) *node {
		GinkgoHelper()
		return f.start(ctx, "a", fleet.AgentOptions{
			Targets: []string{"kubernetes=" + kubeconfig}, ExtraArgs: []string{"--drift-interval=1s"},
		})
	}
	// at reads an object of the edge by the name that it has in the cloud.
	at := func(ctx SpecContext, object client.Object) func() (client.Object, error) {
		found := object.DeepCopyObject().(client.Object)
		return func() (client.Object, error) {
			return found, edge.Get(ctx, client.ObjectKeyFromObject(object), found)
		}
	}
	beGone := WithTransform(apierrors.IsNotFound, BeTrue())
	errorOf := func(read func() (client.Object, error)) func() error {
		return func() error { _, err := read(); return err }
	}

	It("has what it should have there, and nothing of others is touched", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := start(ctx, f)
		settings, doomed := f.configMap("settings", "one"), f.configMap("doomed", "one")
		sync := f.sync("all", f.configMaps())
		create(ctx, settings, doomed, sync)
		becomesSynced(ctx, sync, 1, 2)
		local, err := at(ctx, settings)()
		Expect(err).NotTo(HaveOccurred(), "when status says synced, it is there")
		Expect(local.(*corev1.ConfigMap).Data).To(Equal(settings.Data))
		Expect(local.GetLabels()).To(Equal(settings.Labels))
		Expect(local.GetManagedFields()).To(ContainElement(SatisfyAll(HaveField("Manager", "edgesync"), HaveField("Operation", BeEquivalentTo("Apply")))))
		stranger := f.configMap("stranger", "local")
		Expect(edge.Create(ctx, stranger)).To(Succeed())

		By("updating; what others have added stays")
		patch(ctx, edge, local, func(c *corev1.ConfigMap) { c.Data["mine"] = "local" })
		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "two" })
		Eventually(at(ctx, settings)).Should(HaveField("Data", Equal(map[string]string{"key": "two", "mine": "local"})))

		By("pruning")
		remove(ctx, doomed)
		Eventually(errorOf(at(ctx, doomed))).Should(beGone)
		becomesSynced(ctx, sync, 1, 1)

		By("deleting and recreating")
		before, err := at(ctx, settings)()
		Expect(err).NotTo(HaveOccurred())
		old := before.GetUID()
		remove(ctx, settings)
		again := f.configMap("settings", "three")
		create(ctx, again)
		Eventually(at(ctx, settings)).Should(SatisfyAll(
			HaveField("UID", Not(Equal(old))), HaveField("Data", Equal(map[string]string{"key": "three"}))))
		becomesSynced(ctx, sync, 1, 1)

		removeAndWait(ctx, sync)
		Expect(errorOf(at(ctx, settings))()).To(beGone)
		Expect(edge.Get(ctx, client.ObjectKeyFromObject(stranger), stranger)).To(Succeed())
		n.becomesInSync(ctx)
	})

	It("repairs what is changed or deleted there, with no link to the manager", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := start(ctx, f)
		changed, deleted := f.configMap("changed", "right"), f.configMap("deleted", "right")
		sync := f.sync("all", f.configMaps())
		create(ctx, changed, deleted, sync)
		becomesSynced(ctx, sync, 1, 2)
		Expect(world.StopManager()).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(world.StartManager(ctx)).To(Succeed()) })
		Eventually(n.Status).WithContext(ctx).Should(HaveField("Link.Connected", BeFalse()))

		local, err := at(ctx, changed)()
		Expect(err).NotTo(HaveOccurred())
		patch(ctx, edge, local, func(c *corev1.ConfigMap) { c.Data["key"] = "wrong" })
		local, err = at(ctx, deleted)()
		Expect(err).NotTo(HaveOccurred())
		Expect(edge.Delete(ctx, local)).To(Succeed())
		for _, object := range []*corev1.ConfigMap{changed, deleted} {
			Eventually(at(ctx, object)).Should(HaveField("Data", Equal(map[string]string{"key": "right"})))
		}
	})

	It("gets a CustomResourceDefinition before its objects, and loses them in the opposite order", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := start(ctx, f)
		kind := newCustomKind("Oven")
		ovens, definitions := f.sync("ovens", kind.selection(f)), f.clusterSync("definitions", kind.definitionSelection())
		create(ctx, ovens)
		has(ctx, ovens, "Stalled", "True", "KindUnknown", "")
		create(ctx, kind.definition())
		DeferCleanup(func(ctx SpecContext) { removeAndWait(ctx, kind.definition()) })
		has(ctx, ovens, "Stalled", "True", "Forbidden", "")
		allow(ctx, ovens)
		oven := kind.object(f.namespace, "oven", f.labels())
		Eventually(admin.Create).WithContext(ctx).WithArguments(oven).Should(Succeed())

		By("not knowing the kind at the edge")
		Eventually(statusOf).WithContext(ctx).WithArguments(ovens).Should(HaveField("Failures", ConsistOf(SatisfyAll(
			HaveField("Reason", "ApplyFailed"),
			HaveField("Message", ContainSubstring("sync its CustomResourceDefinition too, or install it there"))))))
		create(ctx, definitions)
		becomesSynced(ctx, definitions, 1, 1)
		becomesSynced(ctx, ovens, 1, 1)
		local, err := at(ctx, oven)()
		Expect(err).NotTo(HaveOccurred())
		Expect(local.(*unstructured.Unstructured).Object["spec"]).To(Equal(oven.Object["spec"]))

		By("starting with nothing, in the right order")
		n.stop()
		removeAndWait(ctx, ovens)
		removeAndWait(ctx, definitions)
		n.start(ctx)
		Eventually(errorOf(at(ctx, kind.definition()))).Should(beGone)
		n.becomesInSync(ctx)
		create(ctx, f.sync("ovens", kind.selection(f)), f.clusterSync("definitions", kind.definitionSelection()))
		becomesSynced(ctx, f.sync("ovens", kind.selection(f)), 1, 1)
		Expect(errorOf(at(ctx, oven))()).To(Succeed())
	})
})

// patch changes an object of a cluster.
func patch[T client.Object](ctx context.Context, cluster client.Client, object client.Object, mutate func(T)) {
	GinkgoHelper()
	before := object.DeepCopyObject().(client.Object)
	mutate(object.(T))
	Expect(cluster.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
}
