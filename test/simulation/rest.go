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

	"github.com/edgesync/edgesync/internal/delivery"
)

// maxRounds bounds how long a healed world may take to come to rest.
const maxRounds = 60

// settle gives everybody turns until nothing happens any more.
func (w *world) settle() {
	for range maxRounds {
		before := w.activity
		w.round(nil)
		w.check()
		if w.activity == before && !w.delayed() {
			return
		}
		w.now = w.now.Add(2 * time.Second)
	}
	w.failf("no rest after %d rounds", maxRounds)
}

func (w *world) delayed() bool {
	for _, m := range w.managers {
		for _, s := range m.sessions {
			if s.node == nil {
				continue
			}
			if _, delayed := s.node.Wake(); delayed {
				return true
			}
		}
	}
	return false
}

// round gives everybody who is up a turn, but for one manager, if that is asleep.
func (w *world) round(asleep *manager) {
	var awake []*manager
	for _, m := range w.managers {
		if m.up && m != asleep {
			awake = append(awake, m)
			w.catchUp(m)
		}
	}
	if leader := w.leader(); leader != nil && leader != asleep {
		leader.lead()
	}
	for _, a := range w.agents {
		for a.receive() {
		}
		if a.link == nil && len(awake) > 0 {
			w.activity++
			a.connect(pick(w.random, awake))
		}
		for a.commit(func() bool { return true }) || a.receive() {
		}
		a.answer()
		for a.apply(false, false) {
		}
		a.report()
		if w.healed {
			w.approve(a)
		}
	}
	for _, m := range awake {
		for _, s := range append([]*session(nil), m.sessions...) {
			for s.receive() {
			}
			if s.link.broken {
				s.end()
				continue
			}
			s.absorb()
			for range 20 {
				s.flush(100, 1<<20)
			}
		}
	}
}

// calm is a time in which all goes well, except that one manager lags, and at the end
// of which the agents go over to that one.
func (w *world) calm(asleep *manager) {
	w.logf("all is calm, but %s lags", asleep.name)
	for range 4 {
		w.round(asleep)
		w.check()
	}
	for range w.random.IntN(4) {
		w.changeAndTakeBack(func() {
			w.round(asleep)
			w.check()
		})
	}
	for _, a := range w.agents {
		if asleep.up && w.chance(70) {
			a.connect(asleep)
		}
	}
}

// catchUp has a manager see everything, and ask about what sessions await.
func (w *world) catchUp(m *manager) {
	for m.learn() {
		w.activity++
	}
	if m.watch() {
		w.activity++
	}
	for _, f := range m.feeds {
		for m.follow(f) {
			w.activity++
		}
		m.bookmark(f)
		m.probe = probe{}
		for range 3 {
			m.probeNext(f)
		}
	}
}

// checkRest: every node holds and has applied what it should, and the hub says so.
func (w *world) checkRest() {
	for _, m := range w.managers {
		w.must(nil, m.caughtUp())
	}
	w.checkRollouts()
	for _, a := range w.agents {
		w.checkAgentAtRest(a)
		s := w.sessionOf(a)
		if s == nil {
			w.failf("%s has no session", a.name)
		}
		wanted := 0
		for _, key := range keys {
			if progress, failure := s.node.Progress(key); progress != delivery.InSync {
				w.failf("%s of %s at rest: progress %d, %v", key, a.name, progress, failure)
			}
			if w.wish(w.latest(), a.name, key).object != nil {
				wanted++
			}
		}
		summary := s.node.Summary()
		if summary.Desired != wanted || summary.Held != wanted || summary.Pending+summary.Failed+summary.HeldBack > 0 {
			w.failf("%s at rest should hold %d: %+v", a.name, wanted, summary)
		}
		if !a.complete {
			w.failf("%s at rest has not had a bookmark", a.name)
		}
	}
}

func (w *world) checkAgentAtRest(a *agent) {
	for _, key := range keys {
		wish := w.wish(w.latest(), a.name, key)
		at, holds := a.store[key]
		here, exists := a.edge[key]
		switch {
		case wish.object == nil && holds:
			w.failf("%s at rest holds %s, which it should not", a.name, key)
		case wish.object == nil && exists && !here.released:
			w.failf("%s at rest has not removed %s", a.name, key)
		case wish.object != nil && (!holds || !at.Same(wish.holding()) || at.state != delivery.Applied):
			w.failf("%s at rest does not hold %s as it should", a.name, key)
		case wish.object != nil && here != present{uid: wish.object.UID, digest: wish.object.Digest}:
			w.failf("%s at rest has not applied %s as it should", a.name, key)
		}
	}
}
