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
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
)

// Index is the join of objects, sources and nodes.
type Index struct {
	mu      sync.RWMutex
	sources map[SourceID]*source
	nodes   map[string]*node
	// naming holds the sources that name a node, by that name; selecting the others.
	naming    map[string]set[*source]
	selecting set[*source]
	tables    map[schema.GroupVersionKind]*Table
	// byKind holds the tables of one kind in its several API versions, the most
	// stable version first.
	byKind map[schema.GroupKind][]*Table
	// early holds the sinks of nodes that do not exist yet.
	early map[string]Sink
	// onSource is told that the objects or nodes of a source are others.
	onSource func(SourceID)
	// onReplaced is told of objects whose content has been replaced.
	onReplaced func(*object.Object)

	horizon horizon
}

type source struct {
	Source
	// nodes are those that it selects, with their places in the rollout.
	nodes   map[*node]string
	objects set[*item]
	table   *Table
	// selection, content and the number of objects make the revision.
	selection object.Digest
	content   content
	revision  string
	// cursor is how far the rollout has come.
	cursor rollout.Cursor
}

type node struct {
	name     string
	labels   labels.Set
	settings NodeSettings
	sources  set[*source]
	sink     Sink
}

// NewIndex makes an empty index. onSource is called, with the index locked, when
// the objects, the nodes or the rollout of a source have changed; it must not block nor
// call the index. It may be nil.
func NewIndex(onSource func(SourceID)) *Index {
	if onSource == nil {
		onSource = func(SourceID) {}
	}
	return &Index{
		sources:   map[SourceID]*source{},
		nodes:     map[string]*node{},
		naming:    map[string]set[*source]{},
		selecting: set[*source]{},
		tables:    map[schema.GroupVersionKind]*Table{},
		byKind:    map[schema.GroupKind][]*Table{},
		early:     map[string]Sink{},
		onSource:  onSource,

		onReplaced: func(*object.Object) {},
	}
}

// OnReplaced has f called, with the index locked, with every object whose content is
// replaced; it must not block nor call the index. It must be set before the index is used.
func (x *Index) OnReplaced(f func(former *object.Object)) { x.onReplaced = f }

// SetNode adds a node, or changes its labels and settings.
func (x *Index) SetNode(name string, set labels.Set, settings NodeSettings) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.nodes[name]
	var touched []object.Key
	switch {
	case n == nil:
		n = &node{name: name, labels: set, sources: map[*source]struct{}{}, sink: x.early[name]}
		delete(x.early, name)
		x.nodes[name] = n
		touched = x.rejoin(n)
	case !maps.Equal(n.labels, set):
		n.labels = set
		touched = x.rejoin(n)
	}
	if n.settings.Suspend != settings.Suspend {
		touched = append(touched, n.keys()...)
	}
	n.settings = settings
	n.tell(touched, true)
	n.recheck()
}

// DeleteNode removes a node. A session of it stays attached, with everything frozen,
// until the caller ends it or the node is there again.
func (x *Index) DeleteNode(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.nodes[name]
	if n == nil {
		return
	}
	keys := n.keys()
	for s := range n.sources {
		delete(s.nodes, n)
		x.onSource(s.ID)
	}
	x.forgetWaiters(name)
	delete(x.nodes, name)
	if n.sink != nil {
		x.early[name] = n.sink
		n.tell(keys, true)
		n.recheck()
	}
}

// Node reports the settings of a node, and whether it exists.
func (x *Index) Node(name string) (NodeSettings, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.nodes[name]
	if n == nil {
		return NodeSettings{}, false
	}
	return n.settings, true
}

// SetSource adds a source or replaces it.
func (x *Index) SetSource(spec Source) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &source{Source: spec, nodes: map[*node]string{}, objects: set[*item]{}, selection: selection(&spec)}
	old := x.sources[spec.ID]
	if old != nil {
		x.detach(old)
		s.cursor = old.cursor
	}
	x.attach(s)
	if old != nil {
		old.tell()
		x.dropUnusedTable(old.table)
	}
	s.tell()
	x.recheckIfApproved(s)
	x.onSource(spec.ID)
}

// DeleteSource removes a source.
func (x *Index) DeleteSource(id SourceID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.sources[id]
	if old == nil {
		return
	}
	x.detach(old)
	old.tell()
	x.dropUnusedTable(old.table)
}

// detach unlinks a source. Its own links stay, so that those whom it concerned can
// still be told.
func (x *Index) detach(s *source) {
	for n := range s.nodes {
		delete(n.sources, s)
	}
	s.table.unlink(s)
	remove(x.naming, s.NodeName, s)
	delete(x.selecting, s)
	delete(x.sources, s.ID)
}

// attach links a source to its table, and to the objects and nodes that it selects.
func (x *Index) attach(s *source) {
	x.sources[s.ID] = s
	x.table(s.Kind).link(s)
	s.revise()
	if s.NodeName != "" {
		insert(x.naming, s.NodeName, s)
		if n := x.nodes[s.NodeName]; n != nil {
			s.join(n)
		}
		return
	}
	x.selecting[s] = struct{}{}
	for _, n := range x.nodes {
		s.join(n)
	}
}

// join links a node to the source if it selects it, unlinks it if not, and reports whether
// that is news to the node.
func (s *source) join(n *node) bool {
	before, was := s.nodes[n]
	is := s.selectsNode(n.name, n.labels)
	if !is {
		delete(s.nodes, n)
		delete(n.sources, s)
		return was
	}
	place := s.place(n)
	s.nodes[n], n.sources[s] = place, struct{}{}
	return !was || before != place
}

// rejoin links a node to the sources that select it, and to no others. It returns the keys
// that are touched.
func (x *Index) rejoin(n *node) []object.Key {
	var touched []object.Key
	for _, sources := range []set[*source]{x.naming[n.name], x.selecting} {
		for s := range sources {
			if s.join(n) {
				x.onSource(s.ID)
				touched = append(touched, s.keys()...)
			}
		}
	}
	return touched
}

// tell names all that the source covers to all of its nodes.
func (s *source) tell() {
	keys := s.keys()
	for n := range s.nodes {
		n.tell(keys, true)
		n.recheck()
	}
}

func (s *source) keys() []object.Key {
	keys := make([]object.Key, 0, len(s.objects))
	for it := range s.objects {
		keys = append(keys, it.Object.Key)
	}
	return keys
}

// recheckIfApproved wakes every node when the source approves deletions: it may
// approve on nodes that it no longer selects.
func (x *Index) recheckIfApproved(s *source) {
	if !s.ApproveDeletes {
		return
	}
	for _, n := range x.nodes {
		n.recheck()
	}
}

func (n *node) tell(keys []object.Key, bulk bool) {
	if n.sink != nil && len(keys) > 0 {
		n.sink.Changed(keys, bulk)
	}
}

func (n *node) recheck() {
	if n.sink != nil {
		n.sink.Recheck()
	}
}

// keys are all that the sources of the node cover.
func (n *node) keys() []object.Key {
	seen := set[object.Key]{}
	for s := range n.sources {
		for it := range s.objects {
			seen[it.Object.Key] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// table finds or makes the table of a kind.
func (x *Index) table(gvk schema.GroupVersionKind) *Table {
	if t := x.tables[gvk]; t != nil {
		return t
	}
	t := &Table{
		index: x, kind: gvk,
		spaces:    map[string]*space{},
		sources:   set[*source]{},
		approving: set[*source]{},
		waiters:   map[waiterID]*waiter{},
	}
	x.tables[gvk] = t
	same := slices.Concat(x.byKind[gvk.GroupKind()], []*Table{t})
	slices.SortFunc(same, func(a, b *Table) int {
		return version.CompareKubeAwareVersionStrings(b.kind.Version, a.kind.Version)
	})
	x.byKind[gvk.GroupKind()] = same
	return t
}

// dropUnusedTable forgets a table that neither a source nor a watch uses.
func (x *Index) dropUnusedTable(t *Table) {
	if len(t.sources) > 0 || t.watched {
		return
	}
	delete(x.tables, t.kind)
	gk := t.kind.GroupKind()
	x.byKind[gk] = slices.DeleteFunc(x.byKind[gk], func(other *Table) bool { return other == t })
	if len(x.byKind[gk]) == 0 {
		delete(x.byKind, gk)
	}
}
