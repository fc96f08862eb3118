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
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/edgesync/edgesync/internal/desired"
)

const steps = 700

// run is one history: a beginning, in most cases one that everybody has seen, random
// steps, then rest.
func (w *world) run() {
	for _, name := range nodeNames {
		w.setNode(name, edgeNode{labels: map[string]string{"region": pick(w.random, regions)}})
	}
	for range 40 {
		w.changeObject()
	}
	for _, k := range kinds[:3] {
		s := w.newSource(desired.SourceID{Name: "s1"})
		if k.resource != kinds[0].resource {
			s.ID = desired.SourceID{Namespace: "a", Name: k.resource}
		}
		s.Kind, s.ObjectName, s.ObjectSelector = k.GroupVersionKind, "", labels.Everything()
		w.setSource(s)
	}
	for range 3 {
		w.setSource(w.newSource(pick(w.random, sourceIDs)))
	}
	for _, m := range w.managers {
		m.start(len(w.edits))
	}
	if w.chance(70) {
		for range 5 {
			w.round(nil)
			w.check()
		}
	}
	for range steps {
		w.step()
		w.check()
	}
	w.heal()
	w.settle()
	w.checkRest()
}

// step does one thing, anywhere.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.random.IntN(300)) * time.Millisecond)
	switch n := w.random.IntN(100); {
	case n < 8:
		w.changeObject()
	case n < 10:
		w.changeCluster()
	case n < 32:
		w.stepManager(w.managers[0])
		if w.chance(w.traits.diligence) {
			w.stepManager(w.managers[1])
		}
	case n < 62:
		w.stepSession()
	case n < 94 || !w.chance(w.traits.faults):
		w.stepAgent(pick(w.random, w.agents))
	default:
		w.fault()
	}
}

func (w *world) changeCluster() {
	switch w.random.IntN(10) {
	case 0, 1:
		w.changeNode()
	case 2, 3:
		w.approve(pick(w.random, w.agents))
	default:
		w.changeSource()
	}
}

func (w *world) stepManager(m *manager) {
	if !m.up {
		if w.chance(30) {
			m.start(len(w.edits) - w.staleness(len(w.edits)))
		}
		return
	}
	f := pick(w.random, m.feeds[:])
	switch n := w.random.IntN(100); {
	case n < 15:
		m.learn()
	case n < 25:
		m.watch()
	case n < 80:
		m.follow(f)
	case n < 84:
		m.bookmark(f)
	case n < 87:
		if m == m.w.leader() {
			m.lead()
		}
	case n < 97:
		m.probeNext(f)
	default:
		if f.listed {
			m.relist(f)
		}
	}
}

// relist is a watch that broke and begins anew with a list.
func (m *manager) relist(f *feed) {
	m.list(f, m.w.api.now()-m.w.staleness(m.w.api.now()-m.w.api.restored))
}

func (w *world) stepSession() {
	m := pick(w.random, w.managers)
	if !m.up || len(m.sessions) == 0 {
		return
	}
	s := pick(w.random, m.sessions)
	switch n := w.random.IntN(10); {
	case s.link.broken && len(s.link.toHub) == 0 && n < 3:
		w.logf("%s notices that %s is gone", m.name, s.agent)
		s.end()
	case n < 4:
		s.receive()
	case n < 6:
		s.absorb()
	default:
		s.flush(1+w.random.IntN(8), 100+w.random.IntN(2000))
	}
}

func (w *world) stepAgent(a *agent) {
	if a.link == nil {
		if m := pick(w.random, w.managers); m.up {
			a.connect(m)
		}
		return
	}
	switch n := w.random.IntN(100); {
	case n < 35:
		for range 1 + w.random.IntN(5) {
			a.receive()
		}
	case n < 55:
		a.commit(func() bool { return !w.traits.unordered || w.chance(60) })
	case n < 68:
		a.answer()
	case n < 90:
		a.apply(w.chance(15), w.traits.crashes && w.chance(4))
	default:
		a.report()
	}
}

// fault breaks something, or ends a fault.
func (w *world) fault() {
	a, m := pick(w.random, w.agents), pick(w.random, w.managers)
	switch n := w.random.IntN(110); {
	case n < 30 && a.link != nil:
		w.logf("the link of %s is cut", a.name)
		a.link.cut(w.random)
	case n < 55 && m.up:
		w.logf("%s dials anew", a.name)
		a.connect(m)
	case n < 67:
		a.diskFull = !a.diskFull
	case n < 80 && w.traits.crashes:
		a.crash()
	case n < 86 && w.traits.crashes && m.up:
		m.crash()
	case n < 92 && w.traits.lostRights && m.up:
		m.lose(pick(w.random, m.feeds[:]))
	case n < 100 && w.traits.restores:
		w.restore()
	case n >= 100:
		w.calm(m)
	}
}

// heal ends all faults, and lifts what keeps objects from where they should be.
func (w *world) heal() {
	w.logf("heal")
	w.healed = true
	for _, m := range w.managers {
		if !m.up {
			m.start(len(w.edits))
		}
	}
	for _, a := range w.agents {
		a.diskFull = false
	}
	for _, key := range keys {
		if r := w.api.at(key, w.api.now()); r != nil && (r.poisoned || len(r.body) > 200) {
			next := *r
			next.poisoned, next.body = false, "healed"
			w.writeObject(key, &next)
		}
	}
	for _, id := range sortedSources(w.cluster()) {
		if s := w.cluster().sources[id]; s.Suspend {
			s.Suspend = false
			w.setSource(s)
		}
	}
	for _, name := range nodeNames {
		n, ok := w.cluster().nodes[name]
		if !ok {
			n.labels = map[string]string{"region": "eu"}
		}
		n.settings = desired.NodeSettings{}
		w.setNode(name, n)
	}
}
