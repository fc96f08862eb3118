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
	"maps"
	"slices"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// session is the hub's end of a connection, used as internal/hub uses the core.
type session struct {
	manager *manager
	agent   string
	link    *link
	node    *delivery.Node
	foreign bool
	// superseded: the agent has opened a newer session with the same manager.
	superseded bool
	held       map[object.Key]delivery.Held

	// What the index has told, and absorb has not looked up yet.
	changed map[object.Key]bool
	recheck bool

	// view is how much the index knew at the last absorb.
	view   []byte
	shadow *shadow
}

// Changed implements desired.Sink.
func (s *session) Changed(keys []object.Key, bulk bool) {
	for _, key := range keys {
		s.changed[key] = s.changed[key] || bulk
	}
}

// Recheck implements desired.Sink.
func (s *session) Recheck() { s.recheck = true }

// receive takes one message of the agent.
func (s *session) receive() bool {
	if len(s.link.toHub) == 0 {
		return false
	}
	w := s.manager.w
	w.activity++
	switch message := pop(&s.link.toHub).(type) {
	case hello:
		s.open(message)
	case inventory:
		maps.Copy(s.held, message.entries)
		if message.last {
			s.begin()
		}
	case ack:
		s.ack(message)
	case nack:
		w.must(s.node.Nack(w.now, message))
		s.shadow.nacked(message)
	case applied:
		for _, result := range message.results {
			s.node.Applied(w.now, result)
			s.shadow.applied(result)
		}
		for _, r := range message.done {
			w.must(s.node.Done(w.now, r[0], r[1]))
			s.shadow.done(r[0], r[1])
		}
	}
	s.await()
	return true
}

func (s *session) ack(message ack) {
	w := s.manager.w
	for _, r := range message.ranges {
		w.must(s.node.AckRange(w.now, r[0], r[1]))
		s.shadow.acked(r[0], r[1])
	}
	w.must(s.node.Ack(w.now, message.cumulative))
	s.shadow.acked(0, message.cumulative)
}

// open answers the Hello: whoever holds all that it should need not say so in full.
func (s *session) open(h hello) {
	m := s.manager
	for _, older := range m.sessions {
		if older != s && older.agent == s.agent {
			older.link.broken, older.superseded = true, true
		}
	}
	if m.index.Behind(h.view) {
		m.w.logf("%s refuses %s, of which it knows too little", m.name, s.agent)
		s.link.broken = true
		return
	}
	s.changed, s.held = map[object.Key]bool{}, map[object.Key]delivery.Held{}
	s.foreign = h.epoch != 0 && h.epoch != m.epoch
	keys := m.index.Attach(s.agent, s)
	held, matches := s.expected(keys, h)
	s.link.sendAgent(welcome{epoch: m.epoch, needInventory: !matches && h.count > 0})
	s.Changed(keys, true)
	if matches {
		m.w.logf("%s resumes %s by digest, with %d objects", m.name, s.agent, len(held))
		s.held = held
	}
	if matches || h.count == 0 {
		s.begin()
	}
}

func (s *session) expected(keys []object.Key, h hello) (map[object.Key]delivery.Held, bool) {
	if s.foreign || h.count != len(keys) {
		return nil, false
	}
	held := map[object.Key]delivery.Held{}
	var fingerprints []object.Digest
	for _, key := range keys {
		want := s.manager.index.Lookup(s.agent, key)
		if want.Object == nil {
			return nil, false
		}
		held[key] = delivery.Held{Holding: want.Holding(), State: delivery.Applied}
		fingerprints = append(fingerprints, want.Holding().Fingerprint(key))
	}
	return held, object.InventoryDigest(fingerprints) == h.digest
}

func (s *session) begin() {
	w := s.manager.w
	for key, held := range s.held {
		held.Foreign = s.foreign
		s.held[key] = held
		s.changed[key] = true
	}
	s.recheck = true
	s.shadow = newShadow(s)
	s.node = delivery.New(w.limits, s.held)
	s.absorb()
}

// absorb looks up what the index has told of, and gives it to the delivery.
func (s *session) absorb() {
	if s.node == nil || s.superseded || len(s.changed) == 0 && !s.recheck {
		return
	}
	w, index := s.manager.w, s.manager.index
	w.activity++
	s.view = index.Horizon()
	var changes []delivery.Change
	for _, key := range slices.SortedFunc(maps.Keys(s.changed), object.Key.Compare) {
		changes = append(changes, delivery.Change{Key: key, Want: index.Lookup(s.agent, key), Bulk: s.changed[key]})
	}
	approval := ""
	if s.recheck {
		settings, _ := index.Node(s.agent)
		approval = settings.Approval
		for _, key := range s.node.Unsettled() {
			changes = append(changes, delivery.Change{Key: key, Want: index.Lookup(s.agent, key), Bulk: true})
		}
	}
	s.changed, s.recheck = map[object.Key]bool{}, false
	w.logf("%s absorbs %d keys for %s", s.manager.name, len(changes), s.agent)
	s.shadow.desired(changes)
	s.node.Desire(w.now, changes)
	s.shadow.approved(approval)
	s.node.Approve(w.now, approval)
	s.await()
	s.shadow.checkAbsorbed()
}

func (s *session) await() {
	if s.node == nil {
		return
	}
	for _, wait := range s.node.Waits() {
		s.manager.w.logf("%s awaits %s of %s", s.manager.name, wait.Version, wait.Key)
		s.manager.index.Await(s.agent, wait.Key, wait.Version)
	}
}

// flush sends one frame.
func (s *session) flush(most, mostBytes int) {
	if s.node == nil || s.superseded {
		return
	}
	w := s.manager.w
	messages := s.node.Next(w.now, most, mostBytes)
	for _, message := range messages {
		w.activity++
		w.logf("%s sends %s %s", s.manager.name, s.agent, describe(message))
		s.shadow.sent(message)
		if d, ok := message.(delivery.Delete); ok {
			s.link.sendAgent(removal{Delete: d, seen: s.shadow.seen(d.Key), edits: s.shadow.view.edits})
			continue
		}
		if b, ok := message.(delivery.Bookmark); ok {
			s.link.sendAgent(bookmark{
				view: s.view, edits: s.shadow.view.edits, nacks: b.Nacks, holds: s.shadow.checkBookmark(b),
			})
			continue
		}
		s.link.sendAgent(message)
	}
	s.shadow.checkFrame(messages, most, mostBytes)
	s.await()
}

// end is the hub noticing that the connection is gone.
func (s *session) end() {
	s.link.cut(s.manager.w.random)
	s.manager.index.Detach(s.agent, s)
	sessions := s.manager.sessions
	s.manager.sessions = slices.DeleteFunc(sessions, func(other *session) bool { return other == s })
}

var _ desired.Sink = (*session)(nil)
