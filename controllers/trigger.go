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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// StatusTrigger collects what has happened to syncs and nodes, and has each of them
// reconciled at most once a second. Its exported methods may be called concurrently and
// never block. They are called for each acknowledgement of each node, and do no more
// then than look up to which syncs the keys belong.
type StatusTrigger struct {
	syncs        *dirtySet[desired.SourceID]
	clusterSyncs *dirtySet[desired.SourceID]
	nodes        *dirtySet[string]

	index atomic.Pointer[desired.Index]
}

// NewStatusTrigger makes a StatusTrigger. Until Setup has connected it with the
// index, what it is told about nodes reaches no sync.
func NewStatusTrigger() *StatusTrigger {
	return &StatusTrigger{
		syncs:        newDirtySet[desired.SourceID](),
		clusterSyncs: newDirtySet[desired.SourceID](),
		nodes:        newDirtySet[string](),
	}
}

// OnSource says that the objects or nodes of a sync have changed, or the state of its
// kind. It may be called with the index locked.
func (t *StatusTrigger) OnSource(id desired.SourceID) {
	if id.Namespace == "" {
		t.clusterSyncs.mark(id)
	} else {
		t.syncs.mark(id)
	}
}

// OnNodeEvent says that a node has connected or disconnected. It must not be called
// with the index locked.
func (t *StatusTrigger) OnNodeEvent(node string) {
	t.nodes.mark(node)
	t.markSyncsOf(node)
}

func (t *StatusTrigger) markSyncsOf(node string) {
	if index := t.index.Load(); index != nil {
		for _, id := range index.SourcesOfNode(node) {
			t.OnSource(id)
		}
	}
}

// OnProgress says that the progress of a node with some keys may be another. It must
// not be called with the index locked.
func (t *StatusTrigger) OnProgress(node string, keys []object.Key) {
	t.nodes.mark(node)
	index := t.index.Load()
	if index == nil {
		return
	}
	for _, key := range keys {
		for _, id := range index.SourcesOf(node, key) {
			t.OnSource(id)
		}
	}
}

func (t *StatusTrigger) connect(index *desired.Index) { t.index.Store(index) }

// dirtySet is a set of keys to be reconciled, in the order in which they were marked.
type dirtySet[K comparable] struct {
	mu    sync.Mutex
	keys  map[K]struct{}
	order []K
	// wake holds a token while there are keys.
	wake chan struct{}
	// urgent says which keys may go before others; nil if none. It is set before the controller starts.
	urgent func(K) bool
	// now adds a key to the queue of the controller; nil until that has started.
	now func(K)
}

func newDirtySet[K comparable]() *dirtySet[K] {
	return &dirtySet[K]{keys: map[K]struct{}{}, wake: make(chan struct{}, 1)}
}

func (d *dirtySet[K]) mark(key K) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.keys[key]; ok {
		return
	}
	d.keys[key] = struct{}{}
	d.order = append(d.order, key)
	d.signal()
}

func (d *dirtySet[K]) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// urge has a key reconciled at once.
func (d *dirtySet[K]) urge(key K) {
	d.mu.Lock()
	now := d.now
	d.mu.Unlock()
	if now == nil {
		d.mark(key)
		return
	}
	now(key)
}

// take takes the first keys, at most so many. Up to half of them may be urgent ones whose turn has
// not come. It must not be called concurrently.
func (d *dirtySet[K]) take(most int) []K {
	if d.urgent != nil {
		d.putFirst(most)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.order[:min(most, len(d.order))]
	d.order = d.order[len(taken):]
	for _, key := range taken {
		delete(d.keys, key)
	}
	if len(d.order) > 0 {
		d.signal()
	}
	return taken
}

// putFirst moves urgent keys before the others, at most half of so many, if there are more. What
// is urgent is asked without a lock, since it may take one that those hold who mark.
func (d *dirtySet[K]) putFirst(most int) {
	d.mu.Lock()
	waiting := slices.Clone(d.order)
	d.mu.Unlock()
	if len(waiting) <= most {
		return
	}
	var first, rest []K
	for _, key := range waiting {
		if len(first) < most/2 && d.urgent(key) {
			first = append(first, key)
		} else {
			rest = append(rest, key)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.order = slices.Concat(first, rest, d.order[len(waiting):])
}

// source feeds a controller with the keys: at once after a rest, and then every interval, at most
// so many each time, but not while held is true, which is asked by one goroutine.
func (d *dirtySet[K]) source(interval time.Duration, most int, held func() bool, request func(K) reconcile.Request) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		d.mu.Lock()
		d.now = func(key K) { queue.Add(request(key)) }
		d.mu.Unlock()
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-d.wake:
				}
				if held() {
					d.signal()
				} else {
					for _, key := range d.take(most) {
						queue.Add(request(key))
					}
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(interval):
				}
			}
		}()
		return nil
	})
}

func never() bool { return false }

func syncRequest(id desired.SourceID) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: id.Namespace, Name: id.Name}}
}

func nodeRequest(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}
