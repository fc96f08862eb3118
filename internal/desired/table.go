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

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/object"
)

// Table holds the objects of one kind, as a watch of that kind reports them.
type Table struct {
	index   *Index
	kind    schema.GroupVersionKind
	watched bool
	// listed: items are complete, so what is not among them does not exist.
	listed  bool
	seen    string
	spaces  map[string]*space
	sources set[*source]
	// approving are the sources that approve deletions.
	approving set[*source]
	waiters   map[waiterID]*waiter
}

// Item is an object with the labels by which selectors find it.
type Item struct {
	Object *object.Object
	Labels labels.Set
}

type item struct {
	Item
	fingerprint object.Digest
	sources     set[*source]
}

// Watch opens the table of a kind for the one watch that fills it.
func (x *Index) Watch(gvk schema.GroupVersionKind) *Table {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.table(gvk)
	t.watched = true
	return t
}

// Close ends the watch. What its sources want is frozen on the nodes from then on.
func (t *Table) Close() {
	t.index.mu.Lock()
	defer t.index.mu.Unlock()
	t.watched, t.listed, t.seen = false, false, ""
	for s := range t.sources {
		s.tell()
		t.index.onSource(s.ID)
	}
	t.wakeWaiters()
	t.index.dropUnusedTable(t)
}

// Upsert takes over a new or changed object.
func (t *Table) Upsert(in Item) {
	t.index.mu.Lock()
	defer t.index.mu.Unlock()
	t.upsert(in, nil)
	t.advance(in.Object.Version)
}

// Delete takes over that an object is deleted, as of a resource version of the kind.
func (t *Table) Delete(key object.Key, version string) {
	t.index.mu.Lock()
	defer t.index.mu.Unlock()
	t.remove(key, nil)
	t.advance(version)
}

// Replace takes over a complete list of the kind, as of a resource version.
func (t *Table) Replace(items []Item, version string) {
	t.index.mu.Lock()
	defer t.index.mu.Unlock()
	kept := make(map[object.Key]struct{}, len(items))
	touched := bulk{}
	for _, in := range items {
		kept[in.Object.Key] = struct{}{}
		t.upsert(in, touched)
	}
	for _, p := range t.spaces {
		for _, it := range p.items {
			if _, ok := kept[it.Object.Key]; !ok {
				t.remove(it.Object.Key, touched)
			}
		}
	}
	for n, keys := range touched {
		n.tell(keys, true)
	}
	t.seen = version
	t.wakeWaiters()
	if t.listed {
		return
	}
	t.listed = true
	for s := range t.sources {
		s.tell()
		t.index.onSource(s.ID)
	}
}

// Bookmark takes over that nothing else has changed up to a resource version.
func (t *Table) Bookmark(version string) {
	t.index.mu.Lock()
	defer t.index.mu.Unlock()
	t.advance(version)
}

// bulk collects what one change touches, so that each node is told of all of it at
// once: what a node is told of in parts would be judged in parts.
type bulk map[*node][]object.Key

func (t *Table) upsert(in Item, touched bulk) {
	key := in.Object.Key
	p := t.space(key.Namespace)
	it := p.items[key.Name]
	switch {
	case it == nil:
		it = &item{sources: set[*source]{}}
		p.items[key.Name] = it
	case unchanged(it.Item, in):
		it.Object = in.Object
		t.tellSources(it)
		return
	case it.Object.Digest != in.Object.Digest:
		t.index.onReplaced(it.Object)
	}
	concerned, relabelled := maps.Clone(it.sources), it.Object == nil || !maps.Equal(it.Labels, in.Labels)
	for s := range concerned {
		s.drop(it)
	}
	it.Item, it.fingerprint = in, fingerprint(in.Object)
	selecting := maps.Keys(concerned)
	if relabelled {
		selecting = p.selectorsOf(key.Name, in.Labels)
	}
	for s := range selecting {
		s.take(it)
	}
	maps.Copy(concerned, it.sources)
	t.tell(key, concerned, touched)
}

// unchanged: a new version of the same content and labels is news to no node.
func unchanged(before, after Item) bool {
	return before.Object.UID == after.Object.UID && before.Object.Digest == after.Object.Digest &&
		maps.Equal(before.Labels, after.Labels)
}

func (t *Table) remove(key object.Key, touched bulk) {
	it := t.item(key)
	if it == nil {
		return
	}
	delete(t.spaces[key.Namespace].items, key.Name)
	t.tidy(key.Namespace)
	concerned := maps.Clone(it.sources)
	for s := range concerned {
		s.drop(it)
	}
	t.tell(key, concerned, touched)
}

// tell names a key to the nodes of sources at once, or adds it to what is touched in bulk.
// The sources get another revision, of which the turn of no node has come.
func (t *Table) tell(key object.Key, sources set[*source], touched bulk) {
	keys := []object.Key{key}
	for s := range sources {
		s.shift(s.revise)
		for n := range s.nodes {
			if touched == nil {
				n.tell(keys, false)
			} else {
				touched[n] = append(touched[n], key)
			}
		}
		t.index.onSource(s.ID)
	}
}

func (t *Table) tellSources(it *item) {
	for s := range it.sources {
		t.index.onSource(s.ID)
	}
}

// SourcesOf names the sources that want a key on a node, in no order.
func (x *Index) SourcesOf(name string, key object.Key) []SourceID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.nodes[name]
	if n == nil {
		return nil
	}
	var ids []SourceID
	for _, s := range x.covering(n, key) {
		ids = append(ids, s.ID)
	}
	return ids
}
