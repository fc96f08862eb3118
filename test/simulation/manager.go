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
	"strconv"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/rollout"
)

// manager is one replica: an index fed by watches that lag, each in its own way.
type manager struct {
	w     *world
	name  string
	up    bool
	epoch int
	index *desired.Index
	feeds [4]*feed
	// edits is how many edits of the cluster the manager has seen.
	edits int
	// leads: the manager moves the rollouts, and cursors are how far it has.
	leads    bool
	cursors  map[desired.SourceID]rollout.Cursor
	sessions []*session
	probe    probe
}

// feed is the watch of one kind.
type feed struct {
	kind     kind
	table    *desired.Table
	listed   bool
	position int
}

// probe is a quorum read of awaited versions under way.
type probe struct {
	feed    *feed
	awaited []string
	current string
}

func (m *manager) view() view {
	v := view{edits: m.edits, cursors: m.knownCursors()}
	for i, f := range m.feeds {
		v.feeds[i] = feedView{listed: f.listed, position: f.position}
	}
	return v
}

// start begins anew, with the sources and nodes known up to an edit and no kind listed.
func (m *manager) start(edits int) {
	w := m.w
	w.logf("%s starts at edit %d of %d", m.name, edits, len(w.edits))
	m.up, m.epoch, m.edits, m.probe = true, w.epoch, edits, probe{}
	m.cursors = map[desired.SourceID]rollout.Cursor{}
	m.index = desired.NewIndex(nil)
	for i, k := range kinds {
		m.feeds[i] = &feed{kind: k}
	}
	c := w.clusters[edits]
	for _, id := range sortedSources(c) {
		s := c.sources[id]
		edit{id: id, source: &s}.apply(m.index)
		m.index.SetRollout(id, c.cursors[id])
	}
	for _, name := range nodeNames {
		if n, ok := c.nodes[name]; ok {
			edit{name: name, node: &n}.apply(m.index)
		}
	}
	m.advance(edits)
}

func (m *manager) crash() {
	m.w.logf("%s crashes", m.name)
	m.up, m.leads = false, false
	for _, s := range m.sessions {
		s.link.cut(m.w.random)
	}
	m.sessions = nil
}

// learn takes in the next edit of the cluster.
func (m *manager) learn() bool {
	if m.edits == len(m.w.edits) {
		return false
	}
	e := m.w.edits[m.edits]
	m.edits++
	m.w.logf("%s learns edit %d", m.name, m.edits)
	if e.source == nil && e.cursor == nil {
		delete(m.cursors, e.id)
	}
	if _, own := m.cursors[e.id]; e.cursor == nil || !own {
		e.apply(m.index)
	}
	m.advance(m.edits)
	return true
}

// advance: all edits up to one are taken in.
func (m *manager) advance(edits int) {
	for _, feed := range []desired.Feed{desired.ObjectSyncs, desired.ClusterObjectSyncs, desired.EdgeNodes} {
		m.index.Advance(feed, strconv.Itoa(edits+1))
	}
}

// watch opens the watches of kinds that sources use, and closes the others.
func (m *manager) watch() bool {
	changed := false
	for _, f := range m.feeds {
		used := false
		for _, s := range m.w.clusters[m.edits].sources {
			used = used || s.Kind == f.kind.GroupVersionKind
		}
		if used == (f.table != nil) {
			continue
		}
		changed = true
		if used {
			m.w.logf("%s watches %s", m.name, f.kind.GroupVersionKind)
			f.table = m.index.Watch(f.kind.GroupVersionKind)
		} else {
			m.lose(f)
		}
	}
	return changed
}

// lose ends a watch, as when the right to read the kind is taken away.
func (m *manager) lose(f *feed) {
	if f.table == nil {
		return
	}
	m.w.logf("%s ends the watch of %s", m.name, f.kind.GroupVersionKind)
	f.table.Close()
	f.table, f.listed, f.position = nil, false, 0
	if m.probe.feed == f {
		m.probe = probe{}
	}
}

// list takes in the whole kind as of a position, which may be one of the past.
func (m *manager) list(f *feed, position int) {
	a := m.w.api
	m.w.logf("%s lists %s at revision %d", m.name, f.kind.GroupVersionKind, a.revisionAt(position))
	var items []desired.Item
	for _, key := range keys {
		if key.GroupKind() != f.kind.GroupKind() {
			continue
		}
		if r := a.at(key, position); r != nil {
			items = append(items, item(r, f.kind))
		}
	}
	f.listed, f.position = true, position
	f.table.Replace(items, a.listVersion(a.revisionAt(position)))
}

func item(r *record, k kind) desired.Item {
	return desired.Item{Object: r.object(k), Labels: r.labels()}
}

// follow takes in the next event of a watch; false if there is none.
func (m *manager) follow(f *feed) bool {
	a := m.w.api
	if f.table == nil {
		return false
	}
	if !f.listed {
		m.list(f, a.now()-m.w.staleness(a.now()-a.restored))
		return true
	}
	for ; f.position < a.now(); f.position++ {
		c := a.log[f.position]
		if c.restore {
			m.list(f, a.now()-m.w.staleness(a.now()-a.restored))
			return true
		}
		if c.key.GroupKind() == f.kind.GroupKind() {
			f.position++
			m.take(f, c)
			return true
		}
	}
	return false
}

func (m *manager) take(f *feed, c change) {
	if c.record == nil {
		m.w.logf("%s sees %s deleted at %d", m.name, c.key, c.revision)
		f.table.Delete(c.key, m.w.api.listVersion(c.revision))
		return
	}
	m.w.logf("%s sees %s at %s", m.name, c.key, c.record.version)
	f.table.Upsert(item(c.record, f.kind))
}

// bookmark: the API server says how far the watch has come.
func (m *manager) bookmark(f *feed) {
	if f.listed {
		f.table.Bookmark(m.w.api.listVersion(m.w.api.revisionAt(f.position)))
	}
}

// probeNext takes one step of asking the API server about awaited versions.
func (m *manager) probeNext(f *feed) {
	switch p := &m.probe; {
	case p.feed == nil:
		if f.table == nil {
			return
		}
		if awaited := f.table.Awaited(); len(awaited) > 0 {
			*p = probe{feed: f, awaited: awaited}
		}
	case p.current == "":
		p.current = m.w.api.listVersion(m.w.api.revision)
	default:
		m.w.logf("%s finds the API server at %s, awaiting %v", m.name, p.current, p.awaited)
		p.feed.table.Rewind(p.awaited, p.current)
		m.probe = probe{}
	}
}

func (m *manager) caughtUp() error {
	if m.edits != len(m.w.edits) {
		return fmt.Errorf("%s has seen %d of %d edits", m.name, m.edits, len(m.w.edits))
	}
	for _, f := range m.feeds {
		if f.table != nil && (!f.listed || f.position != m.w.api.now()) {
			return fmt.Errorf("%s has not caught up in %s", m.name, f.kind.GroupVersionKind)
		}
	}
	return nil
}
