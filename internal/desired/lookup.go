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

package desired

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/object"
)

// Attach makes sink the one to be told of changes for a node, in the place of an
// earlier one, and returns all keys that the node should hold now, to be looked up.
// The node need not exist yet.
func (x *Index) Attach(name string, sink Sink) []object.Key {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.nodes[name]
	if n == nil {
		x.early[name] = sink
		return nil
	}
	n.sink = sink
	x.forgetWaiters(name)
	return n.keys()
}

// Detach ends what Attach began, unless another sink has taken over.
func (x *Index) Detach(name string, sink Sink) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.early[name] == sink {
		delete(x.early, name)
	}
	n := x.nodes[name]
	if n == nil || n.sink != sink {
		return
	}
	n.sink = nil
	x.forgetWaiters(name)
}

func (x *Index) forgetWaiters(name string) {
	for _, t := range x.tables {
		maps.DeleteFunc(t.waiters, func(id waiterID, _ *waiter) bool { return id.node == name })
	}
}

// Unlisted names a kind that has not been listed, so that it is not known whether the
// node should hold objects of it; false if all that its sources name are listed.
func (x *Index) Unlisted(name string) (schema.GroupVersionKind, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var found schema.GroupVersionKind
	if n := x.nodes[name]; n != nil {
		for s := range n.sources {
			if !s.Deleting && !s.table.listed && (found.Empty() || s.Kind.String() < found.String()) {
				found = s.Kind
			}
		}
	}
	return found, !found.Empty()
}

// Lookup reports what a node should do about a key. For a node that does not exist
// everything is frozen.
func (x *Index) Lookup(name string, key object.Key) Want {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.nodes[name]
	if n == nil {
		return Want{Frozen: true}
	}
	var want Want
	tables := x.byKind[key.GroupKind()]
	for _, t := range tables {
		t.describe(&want, n, key)
	}
	want.Frozen = want.Waiting || n.settings.Suspend
	if want.Object == nil {
		x.describeUnwanted(&want, n, key)
		want.Approved = approved(tables, key)
	}
	return want
}

// describe adds what one table knows of a key, if it knows it for sure. The first
// table to have the object for a source that lets the node have it wins.
func (t *Table) describe(want *Want, n *node, key object.Key) {
	if !t.listed {
		return
	}
	if want.Seen == "" || object.Older(t.seen, want.Seen) {
		want.Seen = t.seen
	}
	if w := t.waiters[waiterID{n.name, key}]; w != nil && w.rewound {
		want.Rewound = true
	}
	it := t.item(key)
	if it == nil {
		return
	}
	for s := range it.covers(n) {
		if s.Suspend {
			continue
		}
		want.Retain = want.Retain || s.Retain
		if released := s.releases(n); want.Object == nil || want.Waiting && released {
			want.Object, want.Waiting = it.Object, !released
		}
	}
}

// describeUnwanted finds out whether what no source is known to want is to be left as it is.
func (x *Index) describeUnwanted(want *Want, n *node, key object.Key) {
	for _, s := range x.covering(n, key) {
		waits := !s.Deleting && !s.releases(n)
		want.Waiting = want.Waiting || waits
		want.Frozen = want.Frozen || waits || s.freezes(s.table.listed)
	}
}

func approved(tables []*Table, key object.Key) bool {
	for _, t := range tables {
		for s := range t.approving {
			if s.mayCover(key) {
				return true
			}
		}
	}
	return false
}

type waiterID struct {
	node string
	key  object.Key
}

type waiter struct {
	version string
	// rewound: the API server is known not to have reached the version.
	rewound bool
}

// Await asks that the node's sink be told of the key once the kind is known up to
// the resource version that the node holds, or the API server is known not to have
// come so far (see Rewind), or the watch of the kind ends. If nothing lags, it is told
// at once.
func (x *Index) Await(name string, key object.Key, version string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.nodes[name]
	if n == nil || n.sink == nil {
		return
	}
	behind := false
	for _, t := range x.byKind[key.GroupKind()] {
		if t.listed && object.Older(t.seen, version) {
			t.waiters[waiterID{name, key}] = &waiter{version: version}
			behind = true
		}
	}
	if !behind {
		n.tell([]object.Key{key}, false)
	}
}

// Awaited is one kind for which nodes wait: see Table.Rewind.
func (t *Table) Awaited() []string {
	t.index.mu.RLock()
	defer t.index.mu.RUnlock()
	versions := map[string]struct{}{}
	for _, w := range t.waiters {
		if !w.rewound {
			versions[w.version] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(versions))
}

// Rewind takes over that the API server itself, asked for the latest, was at
// resource version current. The awaited versions, which were awaited before it was
// asked, exist no longer if they are above: the API server went back, as it does
// when a backup is restored.
func (t *Table) Rewind(awaited []string, current string) {
	t.index.mu.Lock()
	defer t.index.mu.Unlock()
	for id, w := range t.waiters {
		if slices.Contains(awaited, w.version) && object.Older(current, w.version) {
			w.rewound = true
			t.index.nodes[id.node].tell([]object.Key{id.key}, false)
		}
	}
}

// advance moves the resource version up to which the kind is known, never back. A
// version that cannot be compared says nothing about that.
func (t *Table) advance(version string) {
	if object.Older(t.seen, version) {
		t.seen = version
		t.wakeWaiters()
	}
}

func (t *Table) wakeWaiters() {
	for id, w := range t.waiters {
		if !object.Older(t.seen, w.version) {
			delete(t.waiters, id)
			t.index.nodes[id.node].tell([]object.Key{id.key}, false)
		}
	}
}
