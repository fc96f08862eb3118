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
	"iter"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/edgesync/edgesync/internal/object"
)

type set[T comparable] map[T]struct{}

// space is what a table has of one namespace.
type space struct {
	items map[string]*item
	// named holds the sources that name an object, by that name; selecting the others.
	named     map[string]set[*source]
	selecting set[*source]
}

func (t *Table) space(namespace string) *space {
	p := t.spaces[namespace]
	if p == nil {
		p = &space{items: map[string]*item{}, named: map[string]set[*source]{}, selecting: set[*source]{}}
		t.spaces[namespace] = p
	}
	return p
}

// tidy forgets a space that is empty.
func (t *Table) tidy(namespace string) {
	if p := t.spaces[namespace]; p != nil && len(p.items)+len(p.named)+len(p.selecting) == 0 {
		delete(t.spaces, namespace)
	}
}

func (t *Table) item(key object.Key) *item {
	if p := t.spaces[key.Namespace]; p != nil {
		return p.items[key.Name]
	}
	return nil
}

// link enters a source, and has it cover the objects that it selects.
func (t *Table) link(s *source) {
	s.table = t
	t.sources[s] = struct{}{}
	if s.ApproveDeletes {
		t.approving[s] = struct{}{}
	}
	p := t.space(s.ID.Namespace)
	if s.ObjectName == "" {
		p.selecting[s] = struct{}{}
		for name, it := range p.items {
			if s.selects(name, it.Labels) {
				s.take(it)
			}
		}
		return
	}
	insert(p.named, s.ObjectName, s)
	if it := p.items[s.ObjectName]; it != nil && s.selects(s.ObjectName, it.Labels) {
		s.take(it)
	}
}

// unlink takes a source out. What it covers it goes on naming, to tell of it.
func (t *Table) unlink(s *source) {
	for it := range s.objects {
		delete(it.sources, s)
	}
	delete(t.sources, s)
	delete(t.approving, s)
	p := t.space(s.ID.Namespace)
	delete(p.selecting, s)
	remove(p.named, s.ObjectName, s)
	t.tidy(s.ID.Namespace)
}

// insert and remove change one of several sets of sources.
func insert(sets map[string]set[*source], name string, s *source) {
	if sets[name] == nil {
		sets[name] = set[*source]{}
	}
	sets[name][s] = struct{}{}
}

func remove(sets map[string]set[*source], name string, s *source) {
	delete(sets[name], s)
	if len(sets[name]) == 0 {
		delete(sets, name)
	}
}

// candidates are the sources that may cover an object, whatever its labels.
func (p *space) candidates(name string) iter.Seq[*source] {
	return func(yield func(*source) bool) {
		for s := range p.named[name] {
			if !yield(s) {
				return
			}
		}
		for s := range p.selecting {
			if !yield(s) {
				return
			}
		}
	}
}

// selectorsOf are the sources that cover an object with these labels.
func (p *space) selectorsOf(name string, set labels.Set) iter.Seq[*source] {
	return func(yield func(*source) bool) {
		for s := range p.candidates(name) {
			if s.selects(name, set) && !yield(s) {
				return
			}
		}
	}
}

// covering are the sources of a node that may cover a key. It looks at those of the node, or
// at those of the key, whichever are fewer.
func (x *Index) covering(n *node, key object.Key) []*source {
	var found []*source
	var spaces []*space
	count := 0
	for _, t := range x.byKind[key.GroupKind()] {
		if p := t.spaces[key.Namespace]; p != nil {
			spaces = append(spaces, p)
			count += len(p.named[key.Name]) + len(p.selecting)
		}
	}
	if len(n.sources) < count {
		for s := range n.sources {
			if s.mayCover(key) {
				found = append(found, s)
			}
		}
		return found
	}
	for _, p := range spaces {
		for s := range p.candidates(key.Name) {
			if _, ok := s.nodes[n]; ok {
				found = append(found, s)
			}
		}
	}
	return found
}

// covers are the sources of a node that cover an item, found in the same way.
func (it *item) covers(n *node) iter.Seq[*source] {
	return func(yield func(*source) bool) {
		few := it.sources
		if len(n.sources) < len(few) {
			few = n.sources
		}
		for s := range few {
			_, ofNode := s.nodes[n]
			_, ofItem := s.objects[it]
			if ofNode && ofItem && !yield(s) {
				return
			}
		}
	}
}
