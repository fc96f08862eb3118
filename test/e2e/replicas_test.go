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
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

var _ = Describe("Three replicas", Ordered, func() {
	const nodes, objects = 6, 30
	var (
		f    *fixture
		held []*corev1.ConfigMap
		sync *syncv1alpha1.ObjectSync
	)

	BeforeAll(func(ctx SpecContext) {
		useFleetOf(ctx, 3)
		f = newFixture(ctx)
		for i := range nodes {
			f.start(ctx, strconv.Itoa(i))
		}
		held = f.createMany(ctx, objects, func(i int) string { return text(i, 4096) })
		sync = f.sync("all", f.configMaps())
		create(ctx, sync)
		f.becomeMirrors(ctx)
		becomesSynced(ctx, sync, nodes, objects)
	})

	// set changes one object, for which the API server may need a second request.
	set := func(ctx SpecContext, i int, value string) {
		GinkgoHelper()
		change(ctx, held[i], func(c *corev1.ConfigMap) { c.Data["key"] = value })
	}
	settles := func(ctx SpecContext) {
		GinkgoHelper()
		f.becomeMirrors(ctx)
		becomesSynced(ctx, sync, nodes, objects)
	}

	It("share the nodes, of which all are in sync and counted once", func(ctx SpecContext) {
		for _, r := range world.Replicas() {
			Eventually(f.nodesOf).WithContext(ctx).WithArguments([]*fleet.Replica{r}).ShouldNot(BeEmpty())
		}
		set(ctx, 0, "shared")
		settles(ctx)
	})

	It("take over from one that was killed, which leads, and send nothing again", func(ctx SpecContext) {
		leader, err := world.Leader(ctx)
		Expect(err).NotTo(HaveOccurred())
		rest, moved := others(leader), f.nodesOf(ctx, []*fleet.Replica{leader})
		before := putsOf(ctx, rest)

		Expect(leader.Kill()).To(Succeed())
		Eventually(f.nodesOf).WithContext(ctx).WithArguments(rest).Should(HaveLen(nodes))
		for _, n := range f.nodes {
			n.becomesInSync(ctx)
		}
		Expect(putsOf(ctx, rest)).To(Equal(before), "%v have resumed", moved)
		Eventually(world.Leader).WithContext(ctx).Should(BeElementOf(rest))
		becomesSynced(ctx, sync, nodes, objects)
		set(ctx, 1, "under another leader")
		settles(ctx)
		Expect(leader.Start(ctx)).To(Succeed())
		settles(ctx)
	})

	It("take over from one that shuts down, in the middle of changes, and no change is lost", func(ctx SpecContext) {
		stop, changes := f.changeAllTheTime(ctx, held[2:5])
		for _, r := range world.Replicas() {
			Eventually(f.nodesOf).WithContext(ctx).WithArguments(others(r)).ShouldNot(BeEmpty())
			seen := changes.Load()
			Eventually(changes.Load).WithContext(ctx).Should(BeNumerically(">", seen))
			Expect(r.Stop()).To(Succeed())
			Eventually(f.nodesOf).WithContext(ctx).WithArguments(others(r)).Should(HaveLen(nodes))
			Expect(r.Start(ctx)).To(Succeed())
		}
		stop()
		settles(ctx)
	})

	It("take over from one that hangs, whose word does not count once it goes on", func(ctx SpecContext) {
		hung := world.Replicas()[0]
		Expect(hung.Pause()).To(Succeed())
		DeferCleanup(hung.Continue)
		set(ctx, 5, "while it hangs")
		Eventually(f.nodesOf).WithContext(ctx).WithArguments(others(hung)).Should(HaveLen(nodes))
		settles(ctx)
		set(ctx, 6, "and again")
		remove(ctx, held[objects-1])
		f.becomeMirrors(ctx)
		becomesSynced(ctx, sync, nodes, objects-1)

		Expect(hung.Continue()).To(Succeed())
		Expect(hung.Start(ctx)).To(Succeed(), "it may have led, and then it has ended")
		held[objects-1] = f.configMap(held[objects-1].Name, "new")
		create(ctx, held[objects-1])
		settles(ctx)
	})

	It("bring the newest of an object that is deleted and recreated 20 times", func(ctx SpecContext) {
		for i := range 20 {
			remove(ctx, held[7])
			held[7] = f.configMap(held[7].Name, fmt.Sprintf("life %d", i))
			create(ctx, held[7])
		}
		settles(ctx)
		for _, n := range f.nodes {
			Expect(n.fileOf(f.configMaps().named(held[7].Name))).To(ContainSubstring("life 19"))
		}
	})

	It("all take an object away when its sync is deleted, and the sync goes when they have", func(ctx SpecContext) {
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) {
			s.Annotations = map[string]string{syncv1alpha1.AnnotationApproveDeletes: "true"}
		})
		removeAndWait(ctx, sync)
		for _, n := range f.nodes {
			Expect(n.files()).To(BeEmpty(), n.NodeName)
		}
	})
})

// useFleetOf has the specs of a container use a fleet of their own with several replicas.
func useFleetOf(ctx SpecContext, replicas int) {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "e2e-")
	Expect(err).NotTo(HaveOccurred())
	several, err := fleet.Start(ctx, fleet.Options{
		Dir: dir, Replicas: replicas, ManagerArgs: []string{"--hub-heartbeat=4s"},
		ControlPlane: controlplane.Config{UnsafeNoFsync: true},
	})
	Expect(err).NotTo(HaveOccurred())
	formerWorld, formerAdmin := world, admin
	world = several
	admin, err = world.Client()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		world, admin = formerWorld, formerAdmin
		Expect(several.Stop()).To(Succeed())
		if !suiteFailed {
			Expect(os.RemoveAll(dir)).To(Succeed())
		}
	})
}

// others are all replicas but one.
func others(r *fleet.Replica) []*fleet.Replica {
	var found []*fleet.Replica
	for _, other := range world.Replicas() {
		if other != r {
			found = append(found, other)
		}
	}
	return found
}

// nodesOf are the nodes whose session one of the replicas has, by their status.
func (f *fixture) nodesOf(ctx context.Context, replicas []*fleet.Replica) []string {
	GinkgoHelper()
	var list syncv1alpha1.EdgeNodeList
	Expect(admin.List(ctx, &list, client.MatchingLabels(f.labels()))).To(Succeed())
	found := map[string]bool{}
	for _, node := range list.Items {
		for _, r := range replicas {
			if session := node.Status.Session; session != nil && session.Replica == r.Name {
				found[node.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// becomeMirrors waits until every node holds the ConfigMaps of the spec.
func (f *fixture) becomeMirrors(ctx SpecContext) {
	GinkgoHelper()
	for _, n := range f.nodes {
		n.becomesMirrorOf(ctx, f.configMaps())
	}
}

// putsOf is how many objects replicas have sent.
func putsOf(ctx context.Context, replicas []*fleet.Replica) (sum float64) {
	GinkgoHelper()
	for _, r := range replicas {
		series, err := r.Metrics(ctx)
		Expect(err).NotTo(HaveOccurred())
		sum += series.Sum("edgesync_hub_puts_total")
	}
	return sum
}

// changeAllTheTime changes objects, one after the other, until stop is called.
func (f *fixture) changeAllTheTime(ctx context.Context, objects []*corev1.ConfigMap) (stop func(), changes *atomic.Int64) {
	ctx, cancel := context.WithCancel(ctx)
	changes = &atomic.Int64{}
	ended := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			object := objects[i%len(objects)]
			before := object.DeepCopy()
			object.Data["key"] = strconv.Itoa(i)
			if err := admin.Patch(ctx, object, client.MergeFrom(before)); ctx.Err() == nil {
				Expect(err).NotTo(HaveOccurred())
				changes.Add(1)
			}
		}
	}()
	stop = func() { cancel(); <-ended }
	DeferCleanup(stop)
	return stop, changes
}
