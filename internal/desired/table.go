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
	items   map[object.Key]*item
	sources map[SourceID]*source
	waiters map[waiterID]*waiter
}

// Item is an object with the labels by which selectors find it.
type Item struct {
	Object *object.Object
	Labels labels.Set
}

type item struct {
	Item
	sources map[SourceID]*source
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
	for _, s := range t.sources {
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
	for key := range t.items {
		if _, ok := kept[key]; !ok {
			t.remove(key, touched)
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
	for _, s := range t.sources {
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
	it := t.items[key]
	if it == nil {
		it = &item{sources: map[SourceID]*source{}}
		t.items[key] = it
	} else if unchanged(it.Item, in) {
		it.Object = in.Object
		t.tellSources(it)
		return
	}
	before := maps.Clone(it.sources)
	it.Item = in
	for id, s := range t.sources {
		if key.Namespace == id.Namespace && s.selects(key.Name, in.Labels) {
			it.sources[id], s.objects[key] = s, it
		} else if before[id] != nil {
			delete(it.sources, id)
			delete(s.objects, key)
		}
	}
	maps.Copy(before, it.sources)
	t.tell(key, before, touched)
}

// unchanged: a new version of the same content and labels is news to no node.
func unchanged(before, after Item) bool {
	return before.Object.UID == after.Object.UID && before.Object.Digest == after.Object.Digest &&
		maps.Equal(before.Labels, after.Labels)
}

func (t *Table) remove(key object.Key, touched bulk) {
	it := t.items[key]
	if it == nil {
		return
	}
	delete(t.items, key)
	for _, s := range it.sources {
		delete(s.objects, key)
	}
	t.tell(key, it.sources, touched)
}

// tell names a key to the nodes of sources at once, or adds it to what is touched in bulk.
func (t *Table) tell(key object.Key, sources map[SourceID]*source, touched bulk) {
	keys := []object.Key{key}
	for id, s := range sources {
		for _, n := range s.nodes {
			if touched == nil {
				n.tell(keys, false)
			} else {
				touched[n] = append(touched[n], key)
			}
		}
		t.index.onSource(id)
	}
}

func (t *Table) tellSources(it *item) {
	for id := range it.sources {
		t.index.onSource(id)
	}
}

// SourceView is what a source comes to, once joined.
type SourceView struct {
	// Listed says that the kind has been listed, so that Objects is complete.
	Listed bool
	// Objects are what the source covers, ordered by key.
	Objects []*object.Object
	// Nodes are the names of the nodes that it selects, in order.
	Nodes []string
}

// View reports what a source comes to; false if there is no such source.
func (x *Index) View(id SourceID) (SourceView, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.sources[id]
	if s == nil {
		return SourceView{}, false
	}
	view := SourceView{Listed: s.table.listed, Nodes: slices.Sorted(maps.Keys(s.nodes))}
	for _, it := range s.objects {
		view.Objects = append(view.Objects, it.Object)
	}
	slices.SortFunc(view.Objects, func(a, b *object.Object) int { return a.Compare(b.Key) })
	return view, true
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
	for _, s := range n.sources {
		if s.mayCover(key) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
