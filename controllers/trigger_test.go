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
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

func TestStatusTriggerFindsWhomAnEventConcerns(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	trigger := NewStatusTrigger()
	index := desired.NewIndex(trigger.OnSource)
	shop, cluster := desired.SourceID{Namespace: "shop", Name: "a"}, desired.SourceID{Name: "a"}
	key := object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "settings"}

	trigger.OnProgress("edge", []object.Key{key})
	g.Expect(trigger.nodes.take(10)).To(Equal([]string{"edge"}))
	trigger.connect(index)

	index.SetNode("edge", nil, desired.NodeSettings{})
	index.SetSource(desired.Source{ID: shop, Kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, ObjectName: "settings", NodeSelector: labels.Everything()})
	index.SetSource(desired.Source{ID: cluster, Kind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, ObjectName: "shop", NodeSelector: labels.Everything()})
	g.Expect(trigger.syncs.take(10)).To(Equal([]desired.SourceID{shop}))
	g.Expect(trigger.clusterSyncs.take(10)).To(Equal([]desired.SourceID{cluster}))

	for range 100 {
		trigger.OnProgress("edge", []object.Key{key, {Kind: "ConfigMap", Namespace: "shop", Name: "other"}})
	}
	g.Expect(trigger.syncs.take(10)).To(Equal([]desired.SourceID{shop}))
	g.Expect(trigger.clusterSyncs.take(10)).To(BeEmpty())
	g.Expect(trigger.nodes.take(10)).To(Equal([]string{"edge"}))

	trigger.OnNodeEvent("edge")
	trigger.OnNodeEvent("nobody")
	g.Expect(trigger.syncs.take(10)).To(Equal([]desired.SourceID{shop}))
	g.Expect(trigger.clusterSyncs.take(10)).To(Equal([]desired.SourceID{cluster}))
	g.Expect(trigger.nodes.take(10)).To(Equal([]string{"edge", "nobody"}))
}

func TestDirtySetIsTakenInOrderAndInParts(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dirty := newDirtySet[string]()
	for _, key := range []string{"a", "b", "a", "c"} {
		dirty.mark(key)
	}
	<-dirty.wake
	g.Expect(dirty.take(2)).To(Equal([]string{"a", "b"}))
	dirty.mark("a")
	<-dirty.wake
	g.Expect(dirty.take(2)).To(Equal([]string{"c", "a"}))
	g.Expect(dirty.wake).To(BeEmpty())
	g.Expect(dirty.take(2)).To(BeEmpty())
}

// What somebody has to act upon does not wait behind a fleet that connects, nor the fleet behind that.
func TestDirtySetHasUrgentKeysGoFirst(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dirty := newDirtySet[string]()
	dirty.urgent = func(key string) bool { return key >= "U" && key <= "W" }
	for _, key := range []string{"a", "b", "c", "d", "U", "V", "W"} {
		dirty.mark(key)
	}
	g.Expect(dirty.take(4)).To(Equal([]string{"U", "V", "a", "b"}))
	g.Expect(dirty.take(4)).To(Equal([]string{"c", "d", "W"}))
}

func TestDirtySetFeedsTheQueueInBatches(t *testing.T) {
	g := NewWithT(t)
	before := goleak.IgnoreCurrent()
	queue := &countingQueue{TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueue(
		workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())}
	dirty := newDirtySet[string]()
	ctx, cancel := context.WithCancel(t.Context())
	const interval = 200 * time.Millisecond
	started := time.Now()
	g.Expect(dirty.source(interval, 10, never, nodeRequest).Start(ctx, queue)).To(Succeed())

	// However often a key is marked, it is added at most once an interval.
	var markers sync.WaitGroup
	for range 4 {
		markers.Go(func() {
			for range 20_000 {
				dirty.mark("edge")
			}
		})
	}
	markers.Wait()
	dirty.mark("last")
	g.Eventually(queue.added, time.Minute).Should(HaveKey("last"))
	g.Expect(queue.added()["edge"]).To(BeNumerically("<=", 1+int(time.Since(started)/interval)))
	cancel()
	queue.ShutDown()
	g.Expect(goleak.Find(before)).To(Succeed())
}

// While nodes connect in numbers their status waits, but not for ever.
func TestStatusWaitsForTheRush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		fleet := &fakeFleet{rushed: true}
		r := &edgeNodeReconciler{Options: Options{Fleet: fleet, timing: defaultTiming}}
		queue, dirty := &countingQueue{}, newDirtySet[string]()
		g.Expect(dirty.source(time.Second, 10, r.rushed(), nodeRequest).Start(t.Context(), queue)).To(Succeed())
		added := func() map[string]int {
			synctest.Wait()
			return queue.added()
		}
		dirty.mark("a")
		time.Sleep(defaultTiming.rushAtMost - time.Second)
		g.Expect(added()).To(BeEmpty())
		fleet.rush(false)
		time.Sleep(time.Second)
		g.Expect(added()).To(HaveKey("a"))

		fleet.rush(true)
		dirty.mark("b")
		time.Sleep(defaultTiming.rushAtMost - time.Second)
		g.Expect(added()).NotTo(HaveKey("b"))
		time.Sleep(3 * time.Second)
		g.Expect(added()).To(HaveKey("b"))
	})
}

type countingQueue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	mu     sync.Mutex
	counts map[string]int
}

func (q *countingQueue) Add(request reconcile.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.counts == nil {
		q.counts = map[string]int{}
	}
	q.counts[request.Name]++
}

func (q *countingQueue) added() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts := map[string]int{}
	for name, count := range q.counts {
		counts[name] = count
	}
	return counts
}

func TestSetupRefusesMissingDependencies(t *testing.T) {
	t.Parallel()
	NewWithT(t).Expect(Setup(t.Context(), nil, Options{Index: desired.NewIndex(nil)})).To(MatchError(ContainSubstring("the reconcilers need")))
}

// An acknowledgement of one object by a node to which a thousand syncs belong.
func BenchmarkOnProgress(b *testing.B) {
	trigger := NewStatusTrigger()
	index := desired.NewIndex(trigger.OnSource)
	trigger.connect(index)
	index.SetNode("edge", nil, desired.NodeSettings{})
	for i := range 1000 {
		index.SetSource(desired.Source{
			ID:         desired.SourceID{Namespace: "shop", Name: fmt.Sprint(i)},
			Kind:       schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
			ObjectName: fmt.Sprint(i), NodeName: "edge",
		})
	}
	keys := []object.Key{{Kind: "ConfigMap", Namespace: "shop", Name: "7"}}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			trigger.OnProgress("edge", keys)
		}
	})
}
