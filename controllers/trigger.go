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

	mu    sync.RWMutex
	index *desired.Index
	// watched holds the nodes, in order, on which the status of a sync depends.
	watched map[desired.SourceID][]string
}

// NewStatusTrigger makes a StatusTrigger. Until Setup has connected it with the
// index, what it is told about nodes reaches no sync.
func NewStatusTrigger() *StatusTrigger {
	return &StatusTrigger{
		syncs:        newDirtySet[desired.SourceID](),
		clusterSyncs: newDirtySet[desired.SourceID](),
		nodes:        newDirtySet[string](),
		watched:      map[desired.SourceID][]string{},
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
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, nodes := range t.watched {
		if _, found := slices.BinarySearch(nodes, node); found {
			t.OnSource(id)
		}
	}
}

// OnProgress says that the progress of a node with some keys may be another. It must
// not be called with the index locked.
func (t *StatusTrigger) OnProgress(node string, keys []object.Key) {
	t.nodes.mark(node)
	t.mu.RLock()
	index := t.index
	t.mu.RUnlock()
	if index == nil {
		return
	}
	for _, key := range keys {
		for _, id := range index.SourcesOf(node, key) {
			t.OnSource(id)
		}
	}
}

func (t *StatusTrigger) connect(index *desired.Index) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.index = index
}

// watchNodes says on which nodes, in order, the status of a sync depends. It is called before
// the nodes are asked, so that no event is missed in between.
func (t *StatusTrigger) watchNodes(id desired.SourceID, nodes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(nodes) == 0 {
		delete(t.watched, id)
		return
	}
	t.watched[id] = nodes
}

// dirtySet is a set of keys to be reconciled.
type dirtySet[K comparable] struct {
	mu   sync.Mutex
	keys map[K]struct{}
	// wake holds a token while there are keys.
	wake chan struct{}
	// now adds a key to the queue of the controller; nil until that has started.
	now func(K)
}

func newDirtySet[K comparable]() *dirtySet[K] {
	return &dirtySet[K]{keys: map[K]struct{}{}, wake: make(chan struct{}, 1)}
}

func (d *dirtySet[K]) mark(key K) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[key] = struct{}{}
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

func (d *dirtySet[K]) take() []K {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := make([]K, 0, len(d.keys))
	for key := range d.keys {
		keys = append(keys, key)
	}
	clear(d.keys)
	return keys
}

// source feeds a controller with the keys: at once after a rest, and then every interval.
func (d *dirtySet[K]) source(interval time.Duration, request func(K) reconcile.Request) source.Source {
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
				for _, key := range d.take() {
					queue.Add(request(key))
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

func syncRequest(id desired.SourceID) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: id.Namespace, Name: id.Name}}
}

func nodeRequest(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}
