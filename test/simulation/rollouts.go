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

package simulation

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/rollout"
)

// newOrder is one of few orders of the nodes, or none.
func (w *world) newOrder() *rollout.Order {
	switch w.random.IntN(6) {
	case 0:
		return &rollout.Order{}
	case 1:
		return &rollout.Order{Label: "region", Values: []string{pick(w.random, regions)}}
	default:
		return nil
	}
}

// cursor is how far a manager takes a rollout to have come: the leader knows better than
// what it has written.
func (m *manager) cursor(id desired.SourceID) rollout.Cursor {
	if own, ok := m.cursors[id]; ok {
		return own
	}
	return m.w.clusters[m.edits].cursors[id]
}

// knownCursors are those of all sources.
func (m *manager) knownCursors() map[desired.SourceID]rollout.Cursor {
	known := map[desired.SourceID]rollout.Cursor{}
	for id := range m.w.clusters[m.edits].sources {
		known[id] = m.cursor(id)
	}
	return known
}

// leader is the manager that moves the rollouts; nil while none is up.
func (w *world) leader() *manager {
	for _, m := range w.managers {
		if m.up && m.leads {
			return m
		}
	}
	for _, m := range w.managers {
		if m.up {
			w.logf("%s leads", m.name)
			m.leads = true
			return m
		}
	}
	return nil
}

// lead moves the rollouts as far as they may go, acts on that at once, and writes it down,
// if not always at once.
func (m *manager) lead() {
	w := m.w
	c := w.clusters[m.edits]
	for _, id := range sortedSources(c) {
		s := c.sources[id]
		view, _ := m.index.View(id)
		if s.Rollout == nil || s.Deleting || s.Suspend || !view.Listed {
			continue
		}
		w.noteRevision(w.covered(m.view(), &s), view.Revision)
		nodes, parts := m.rolloutNodes(&s, view)
		limits := rollout.Limits{PauseAfterFailures: 2}
		if s.ObjectName == "" {
			one := intstr.FromInt32(1)
			limits.MaxInProgress = &one
		}
		p := rollout.Advance(m.cursor(id), view.Revision, nodes, parts, limits)
		if p.Cursor != m.cursor(id) {
			w.logf("%s moves the rollout of %v to %v", m.name, id, p.Cursor)
			w.activity++
			m.cursors[id] = p.Cursor
			m.index.SetRollout(id, p.Cursor)
		}
		if _, exists := w.cluster().sources[id]; exists && w.cluster().cursors[id] != p.Cursor && (w.healed || w.chance(60)) {
			w.logf("edit %d: %v has come to %v", len(w.edits)+1, id, p.Cursor)
			w.activity++
			w.edit(edit{id: id, cursor: &p.Cursor})
		}
	}
}

// rolloutNodes is what the leader knows of the nodes of a source.
func (m *manager) rolloutNodes(s *desired.Source, view desired.SourceView) ([]rollout.Node, map[string]rollout.Part) {
	var nodes []rollout.Node
	parts := map[string]rollout.Part{}
	for _, turn := range view.Turns {
		n := rollout.Node{Place: turn.Place}
		for _, other := range m.w.managers {
			session := other.sessionWith(turn.Node)
			switch {
			case session == nil:
			case other == m:
				n.State = session.rolloutState(s, turn.Waiting)
			case n.State == rollout.Offline:
				n.State, n.Replica = rollout.Elsewhere, other.name
			}
		}
		nodes = append(nodes, n)
	}
	for _, other := range m.w.managers {
		if other != m && other.up {
			parts[other.name] = other.part(s.ID, view.Revision)
		}
	}
	return nodes, parts
}

func (m *manager) sessionWith(node string) *session {
	for _, s := range m.sessions {
		if s.agent == node && s.node != nil && !s.superseded && m.up {
			return s
		}
	}
	return nil
}

// part is what a manager tells of the nodes of a source that are connected to it.
func (m *manager) part(id desired.SourceID, revision string) rollout.Part {
	view, _ := m.index.View(id)
	if view.Revision != revision || !view.Listed {
		return rollout.Part{}
	}
	var part rollout.Part
	if view.Cursor.Revision == revision {
		part.Through = view.Cursor.Through
	}
	s := m.w.clusters[m.edits].sources[id]
	for _, turn := range view.Turns {
		session := m.sessionWith(turn.Node)
		if session == nil {
			continue
		}
		part.Connected++
		switch state := session.rolloutState(&s, turn.Waiting); {
		case turn.Waiting:
			part.Waiting++
		case state == rollout.Done:
			part.Done++
		case state == rollout.Failed:
			part.Failed++
		}
	}
	return part
}

// rolloutState is how far the node of a session is with all that a source may cover.
func (s *session) rolloutState(source *desired.Source, waiting bool) rollout.State {
	worst := delivery.InSync
	for _, key := range keys {
		if source.Kind.GroupKind() == key.GroupKind() && covers(source, key) {
			progress, _ := s.node.Progress(key)
			worst = max(worst, progress)
		}
	}
	switch {
	case len(s.changed) > 0 || s.recheck:
		return rollout.InProgress
	case worst == delivery.InSync, worst == delivery.Waiting && !waiting:
		return rollout.Done
	case worst == delivery.Failing:
		return rollout.Failed
	default:
		return rollout.InProgress
	}
}

// coverage is what a source covered at some time.
type coverage struct {
	id    desired.SourceID
	edits int
	feeds [4]feedView
}

// covered says in full what a revision stands for.
func (w *world) covered(v view, s *desired.Source) string {
	at := coverage{s.ID, v.edits, v.feeds}
	said, ok := w.coverages[at]
	if !ok {
		said = w.sayCovered(v, s)
		w.coverages[at] = said
	}
	return said
}

func (w *world) sayCovered(v view, s *desired.Source) string {
	var said strings.Builder
	fmt.Fprintf(&said, "%q %v %+v", s.NodeName, s.NodeSelector, *s.Rollout)
	for i, k := range kinds {
		if k.GroupVersionKind != s.Kind || !v.feeds[i].listed {
			continue
		}
		for _, key := range keys {
			if key.GroupKind() != k.GroupKind() || !covers(s, key) {
				continue
			}
			at := w.api.at(key, v.feeds[i].position)
			if at == nil || s.ObjectName == "" && !s.ObjectSelector.Matches(at.labels()) {
				continue
			}
			o := at.object(k)
			fmt.Fprintf(&said, " %s %s %x", key, o.UID, o.Digest)
		}
	}
	return said.String()
}

// noteRevision: a revision stands for one thing, and each thing has one revision.
func (w *world) noteRevision(covered, revision string) {
	if known, ok := w.revisions[covered]; ok && known != revision {
		w.failf("%s has the revisions %s and %s", covered, known, revision)
	}
	w.revisions[covered] = revision
}

// waits: the turn of a node has not come, as far as a manager knew.
func (w *world) waits(v view, s *desired.Source, node string, n edgeNode) bool {
	if s.Rollout == nil {
		return false
	}
	revision, known := w.revisions[w.covered(v, s)]
	part := len(s.Rollout.Values)
	if value, ok := n.labels[s.Rollout.Label]; ok && slices.Contains(s.Rollout.Values, value) {
		part = slices.Index(s.Rollout.Values, value)
	}
	at := v.cursors[s.ID]
	return !known || at.Revision != revision || fmt.Sprintf("%02d/%s", part, node) > at.Through
}

// checkRollouts: at rest all of them have ended.
func (w *world) checkRollouts() {
	c := w.cluster()
	for _, id := range sortedSources(c) {
		s := c.sources[id]
		if s.Rollout == nil || s.Deleting {
			continue
		}
		want := rollout.Cursor{Revision: w.revisions[w.covered(w.latest(), &s)], Through: rollout.End}
		if c.cursors[id] != want {
			w.failf("the rollout of %v rests at %v, not %v", id, c.cursors[id], want)
		}
	}
}
