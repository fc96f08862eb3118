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
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// What users and administrators do.

var (
	tiers   = []string{"web", "db"}
	regions = []string{"eu", "us"}

	sourceIDs = []desired.SourceID{
		{Name: "s1"}, {Name: "s2"},
		{Namespace: "a", Name: "s1"}, {Namespace: "a", Name: "s2"}, {Namespace: "a", Name: "s3"}, {Namespace: "a", Name: "s4"},
		{Namespace: "b", Name: "s1"},
	}
)

// changeObject writes or deletes one object, or, rarely, deletes all of a namespace.
func (w *world) changeObject() {
	if w.chance(2) && !w.traits.few {
		w.emptyNamespace("a")
		return
	}
	key := pick(w.random, w.hot)
	if !w.traits.few && w.chance(60) {
		key = pick(w.random, keys)
	}
	old := w.api.at(key, w.api.now())
	switch {
	case old == nil:
		w.writeObject(key, &record{uid: w.api.newUID(), tier: pick(w.random, tiers), body: w.body(), poisoned: w.chance(3)})
	case w.chance(25):
		w.logf("user deletes %s", key)
		w.api.write(key, nil)
		if w.chance(50) {
			w.writeObject(key, &record{uid: w.api.newUID(), tier: old.tier, body: old.body})
		}
	default:
		next := *old
		switch w.random.IntN(4) {
		case 0:
			next.status++
		case 1:
			next.tier = pick(w.random, tiers)
		default:
			next.body, next.poisoned = w.body(), w.chance(3)
		}
		w.writeObject(key, &next)
	}
}

// changeAndTakeBack changes an object and, in half of the cases, changes it back, each
// followed by what comes next.
func (w *world) changeAndTakeBack(next func()) {
	key := pick(w.random, w.hot)
	old := w.api.at(key, w.api.now())
	if old == nil {
		w.changeObject()
		next()
		return
	}
	changed, again := *old, *old
	changed.tier, changed.body = pick(w.random, tiers), w.body()
	w.writeObject(key, &changed)
	next()
	if w.chance(50) {
		w.writeObject(key, &again)
		next()
	}
}

func (w *world) emptyNamespace(name string) {
	w.logf("user deletes namespace %s", name)
	for _, key := range keys {
		if key.Namespace == name && w.api.at(key, w.api.now()) != nil {
			w.api.write(key, nil)
		}
	}
}

func (w *world) writeObject(key object.Key, r *record) {
	w.api.write(key, r)
	w.logf("user writes %s of %s at %s: tier %s, body %.8s, poisoned %t", key, r.uid, r.version, r.tier, r.body, r.poisoned)
}

// body is one of few, so that contents come back.
func (w *world) body() string {
	size := 1
	switch w.random.IntN(20) {
	case 0:
		size = 1000
	case 1, 2, 3:
		size = 200
	}
	return strings.Repeat(strconv.Itoa(w.random.IntN(2)), size)
}

// changeSource sets or deletes one source.
func (w *world) changeSource() {
	id := pick(w.random, sourceIDs)
	old, exists := w.cluster().sources[id]
	if exists && w.chance(35) {
		w.logf("edit %d: delete source %v", len(w.edits)+1, id)
		w.edit(edit{id: id})
		return
	}
	if exists && w.chance(70) {
		w.changeOneThing(&old)
		w.setSource(old)
		return
	}
	w.setSource(w.newSource(id))
}

func (w *world) changeOneThing(s *desired.Source) {
	switch n := w.random.IntN(11); {
	case n == 10:
		s.Rollout = w.newOrder()
	case n < 4:
		s.Suspend = !s.Suspend
	case n < 6:
		s.Retain = !s.Retain
	case n < 8:
		w.chooseNodes(s)
	case n < 9:
		s.ApproveDeletes = !s.ApproveDeletes
	default:
		s.Deleting = true
	}
}

func (w *world) setSource(s desired.Source) {
	shown := s
	shown.Rollout = nil // it would be shown as an address
	w.logf("edit %d: set source %+v, rollout %+v", len(w.edits)+1, shown, s.Rollout)
	w.edit(edit{id: s.ID, source: &s})
}

func (w *world) newSource(id desired.SourceID) desired.Source {
	s := desired.Source{ID: id, Retain: w.chance(20), Suspend: w.chance(10), ApproveDeletes: w.chance(5)}
	if id.Namespace == "" {
		s.Kind = kinds[0].GroupVersionKind
	} else {
		s.Kind = kinds[1+max(0, w.random.IntN(6)-3)].GroupVersionKind
	}
	switch w.random.IntN(5) {
	case 0:
		s.ObjectName = "x" + strconv.Itoa(w.random.IntN(4))
	case 1:
		s.ObjectSelector = labels.SelectorFromSet(labels.Set{"tier": pick(w.random, tiers)})
	default:
		s.ObjectSelector = labels.Everything()
	}
	w.chooseNodes(&s)
	s.Rollout = w.newOrder()
	return s
}

func (w *world) chooseNodes(s *desired.Source) {
	s.NodeName, s.NodeSelector = "", nil
	switch w.random.IntN(6) {
	case 0:
		s.NodeName = pick(w.random, nodeNames)
	case 1:
		s.NodeSelector = labels.SelectorFromSet(labels.Set{"region": pick(w.random, regions)})
	default:
		s.NodeSelector = labels.Everything()
	}
}

// changeNode sets or deletes one node.
func (w *world) changeNode() {
	name := pick(w.random, nodeNames)
	n, exists := w.cluster().nodes[name]
	switch {
	case !exists:
		n = edgeNode{labels: labels.Set{"region": pick(w.random, regions)}}
	case w.chance(15):
		w.logf("edit %d: delete node %s", len(w.edits)+1, name)
		w.edit(edit{name: name})
		return
	case w.chance(30):
		n.settings.Suspend = !n.settings.Suspend
	default:
		n.labels = labels.Set{"region": pick(w.random, regions)}
	}
	w.setNode(name, n)
}

func (w *world) setNode(name string, n edgeNode) {
	w.logf("edit %d: set node %s: %+v", len(w.edits)+1, name, n)
	w.edit(edit{name: name, node: &n})
}

// approve confirms what is held back on a node just now, as its status says.
func (w *world) approve(a *agent) {
	s := w.sessionOf(a)
	if s == nil || s.node == nil {
		return
	}
	code := s.node.Summary().ApprovalCode
	if n, ok := w.cluster().nodes[a.name]; ok && code != "" && n.settings.Approval != code {
		n.settings.Approval = code
		w.setNode(a.name, n)
	}
}

// restore brings a backup back, now and then into a cluster with another identity.
func (w *world) restore() {
	if w.api.now() == 0 {
		return
	}
	w.api.restore(w.random.IntN(w.api.now()))
	w.logf("the API server is restored to revision %d", w.api.revision)
	if w.chance(40) {
		w.epoch++
		for _, m := range w.managers {
			if m.up {
				m.crash()
			}
		}
	}
}
