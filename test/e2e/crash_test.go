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
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

var _ = Describe("A crash", func() {
	const objects = 600

	// deliverThrough has objects delivered and calls disturb whenever the node holds one
	// of several random numbers of files, which are different for every seed of the suite.
	deliverThrough := func(ctx SpecContext, f *fixture, n *node, disturb func()) {
		GinkgoHelper()
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		moments := make([]int, 4)
		for i := range moments {
			moments[i] = random.IntN(objects)
		}
		slices.Sort(moments)
		By(fmt.Sprintf("disturbing when the node has %v files", moments))
		f.createMany(ctx, objects, func(i int) string { return text(i, 2048) })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		for _, moment := range moments {
			Eventually(n.countFiles).WithContext(ctx).WithPolling(time.Millisecond).Should(BeNumerically(">=", moment))
			disturb()
		}
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, objects)
		n.becomesInSync(ctx)
	}

	It("of the manager in the middle of a delivery loses nothing", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		deliverThrough(ctx, f, n, func() {
			Expect(world.KillManager()).To(Succeed())
			Expect(world.StartManager(ctx)).To(Succeed())
		})
	})

	It("of the agent in the middle of a delivery loses nothing", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		deliverThrough(ctx, f, n, func() {
			n.kill()
			n.start(ctx)
		})
	})

	It("of the manager while objects change leaves nothing behind", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		changing := f.createMany(ctx, 30, func(int) string { return "old" })
		create(ctx, f.sync("all", f.configMaps()))
		n.becomesMirrorOf(ctx, f.configMaps())

		Expect(world.KillManager()).To(Succeed())
		remove(ctx, changing[0], changing[1])
		change(ctx, changing[2], func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		create(ctx, f.configMap("new", "new"))
		Eventually(n.Status).WithContext(ctx).Should(HaveField("Link.Connected", BeFalse()))
		Expect(world.StartManager(ctx)).To(Succeed())
		n.becomesMirrorOf(ctx, f.configMaps())
		n.becomesInSync(ctx)
	})

	It("of the API server or of etcd is ridden out", func(ctx SpecContext) {
		// An API server that has just been started may not name custom resources to the
		// namespace controller yet, which then leaves them behind for ever.
		awaitEndOfNamespaces(ctx)
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		objects := f.createMany(ctx, 20, func(int) string { return "old" })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 20)

		cluster := world.ControlPlane()
		Expect(cluster.KillAPIServer()).To(Succeed())
		// Nodes may come and go meanwhile.
		n.stop()
		n.start(ctx)
		Eventually(n.Status).WithContext(ctx).Should(HaveField("InSync", BeTrue()))
		Expect(n.files()).To(HaveLen(20))
		Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		change(ctx, objects[0], func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		remove(ctx, objects[1])
		n.becomesMirrorOf(ctx, f.configMaps())

		Expect(cluster.KillEtcd()).To(Succeed())
		Expect(n.files()).To(HaveLen(19))
		Expect(cluster.StartEtcd(ctx)).To(Succeed())
		Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		Eventually(admin.Delete).WithContext(ctx).WithArguments(objects[2]).Should(Succeed())
		create(ctx, f.configMap("new", "new"))
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 19)
	})

	It("after which a backup is restored takes nodes back to it", func(ctx SpecContext) {
		// An API server that has just been started may not name custom resources to the
		// namespace controller yet, which then leaves them behind for ever.
		awaitEndOfNamespaces(ctx)
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		changed, deleted, created := f.configMap("changed", "old"), f.configMap("deleted", "old"), f.configMap("created", "new")
		sync := f.sync("all", f.configMaps())
		create(ctx, changed, deleted, sync)
		becomesSynced(ctx, sync, 1, 2)

		cluster := world.ControlPlane()
		data := filepath.Join(filepath.Dir(agentConfig), "etcd")
		withEtcdStopped := func(do func() error) {
			GinkgoHelper()
			Expect(cluster.KillAPIServer()).To(Succeed())
			Expect(cluster.KillEtcd()).To(Succeed())
			Expect(do()).To(Succeed())
			Expect(cluster.StartEtcd(ctx)).To(Succeed())
			Expect(cluster.StartAPIServer(ctx)).To(Succeed())
		}
		withEtcdStopped(func() error { return os.CopyFS(data+".backup", os.DirFS(data)) })
		change(ctx, changed, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		remove(ctx, deleted)
		create(ctx, created)
		n.becomesMirrorOf(ctx, f.configMaps())
		Expect(n.files()).To(HaveLen(2))

		withEtcdStopped(func() error {
			return errors.Join(os.RemoveAll(data), os.Rename(data+".backup", data))
		})
		n.becomesMirrorOf(ctx, f.configMaps())
		Expect(n.fileOf(f.configMaps().named("changed"))).To(ContainSubstring("key: old"))
		Expect(n.fileOf(f.configMaps().named("deleted"))).To(ContainSubstring("key: old"))
		Expect(n.fileOf(f.configMaps().named("created"))).To(BeEmpty())
		n.becomesInSync(ctx)
		becomesSynced(ctx, sync, 1, 2)
	})

	It("of the link in the middle of a frame is no more than a delay", func(ctx SpecContext) {
		f := newFixture(ctx)
		proxy := newProxy()
		n := f.start(ctx, "a", fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 2))
		deliverThrough(ctx, f, n, func() {
			proxy.CutAfter(linkproxy.Down, 1+random.Int64N(100_000))
			proxy.CutAfter(linkproxy.Up, 1+random.Int64N(2_000))
		})
		Expect(len(proxy.Accepted())).To(BeNumerically(">", 2), "it was cut at least once")
	})

	It("of the link without a sign is noticed", func(ctx SpecContext) {
		f := newFixture(ctx)
		proxy := newProxy()
		n := f.start(ctx, "a", fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
		create(ctx, f.configMap("settings", "1"), f.sync("all", f.configMaps()))
		n.becomesMirrorOf(ctx, f.configMaps())
		n.has(ctx, "Connected", metav1.ConditionTrue, "Connected", "")

		proxy.SetBlackHole(true)
		create(ctx, f.configMap("more", "1"))
		Eventually(n.Status).WithContext(ctx).Should(HaveField("Link.Connected", BeFalse()))
		n.has(ctx, "Connected", metav1.ConditionFalse, "Disconnected", "")
		proxy.SetBlackHole(false)
		n.becomesMirrorOf(ctx, f.configMaps())
		n.becomesInSync(ctx)
	})
})

func newProxy() *linkproxy.Proxy {
	GinkgoHelper()
	proxy, err := linkproxy.Start(world.HubAddress())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(proxy.Close)
	return proxy
}
