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
	"cmp"
	"slices"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
)

// SetRollout says how far the rollout of a source has come. It releases what cursor.Revision
// stands for, on the nodes up to cursor.Through; it says nothing of any other revision, so
// that a change waits until SetRollout is called for it. The nodes whose turn comes by that are
// told, and no others. It outlives SetSource; without the source it does nothing.
func (x *Index) SetRollout(id SourceID, cursor rollout.Cursor) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.sources[id]
	if s == nil || s.cursor == cursor {
		return
	}
	s.shift(func() { s.cursor = cursor })
	if s.Rollout != nil {
		x.onSource(id)
	}
}

// shift makes a change of the revision or the cursor, and tells the nodes whose turn has come
// by that, or is over.
func (s *source) shift(change func()) {
	before, revision := s.cursor, s.revision
	change()
	if s.Rollout == nil || before.Revision != revision && s.cursor.Revision != s.revision {
		return
	}
	keys := s.keys()
	for n, place := range s.nodes {
		if before.Releases(revision, place) != s.cursor.Releases(s.revision, place) {
			n.tell(keys, true)
			n.recheck()
		}
	}
}

// Released reports whether a source lets one of its nodes have what it covers now: always,
// unless it has a rollout.
func (x *Index) Released(id SourceID, name string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s, n := x.sources[id], x.nodes[name]
	if s == nil || n == nil {
		return false
	}
	_, selected := s.nodes[n]
	return selected && s.releases(n)
}

// releases reports whether the turn of a node of the source has come.
func (s *source) releases(n *node) bool {
	return s.Rollout == nil || s.cursor.Releases(s.revision, s.nodes[n])
}

// place is that of a node in the rollout; empty without one.
func (s *source) place(n *node) string {
	if s.Rollout == nil {
		return ""
	}
	return s.Rollout.Place(n.name, n.labels)
}

// Turn is a node in the order of a rollout.
type Turn struct {
	Node, Place string
	// Waiting says that the turn has not come.
	Waiting bool
}

// SourceView is what a source comes to, once joined.
type SourceView struct {
	// Listed says that the kind has been listed, so that Objects is complete.
	Listed bool
	// Objects are what the source covers, ordered by key.
	Objects []*object.Object
	// Nodes are the names of the nodes that it selects, in order.
	Nodes []string
	// Revision stands for Objects, by uid and content, and for how nodes are selected and
	// ordered. It is the same in every replica that knows the same.
	Revision string
	// Cursor is what SetRollout said last, and Turns are Nodes in the order of their
	// places. Without a rollout there are none.
	Cursor rollout.Cursor
	Turns  []Turn
}

// View reports what a source comes to; false if there is no such source.
func (x *Index) View(id SourceID) (SourceView, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.sources[id]
	if s == nil {
		return SourceView{}, false
	}
	view := SourceView{Listed: s.table.listed, Revision: s.revision}
	for it := range s.objects {
		view.Objects = append(view.Objects, it.Object)
	}
	slices.SortFunc(view.Objects, func(a, b *object.Object) int { return a.Compare(b.Key) })
	for n := range s.nodes {
		view.Nodes = append(view.Nodes, n.name)
	}
	slices.Sort(view.Nodes)
	if s.Rollout != nil {
		view.Cursor, view.Turns = s.cursor, s.turns()
	}
	return view, true
}

func (s *source) turns() []Turn {
	turns := make([]Turn, 0, len(s.nodes))
	for n, place := range s.nodes {
		turns = append(turns, Turn{Node: n.name, Place: place, Waiting: !s.releases(n)})
	}
	slices.SortFunc(turns, func(a, b Turn) int { return cmp.Compare(a.Place, b.Place) })
	return turns
}

// SourcesOfNode names the sources that select a node, in no order.
func (x *Index) SourcesOfNode(name string) []SourceID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.nodes[name]
	if n == nil {
		return nil
	}
	ids := make([]SourceID, 0, len(n.sources))
	for s := range n.sources {
		ids = append(ids, s.ID)
	}
	return ids
}
