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
	"github.com/edgesync/edgesync/internal/object"
)

// agent is an edge node: a durable store, the world that it has changed, and what a
// crash takes away.
type agent struct {
	w    *world
	name string

	// Durable.
	epoch int
	// view is that of the last bookmark, from a manager that knew so many edits.
	view  []byte
	edits int
	store map[object.Key]*stored
	edge  map[object.Key]present

	// Lost in a crash.
	link     *link
	welcomed welcome
	inbox    []any
	// answered are the sequences that the store has decided on, beyond all.
	all      uint64
	answered map[uint64]bool
	// told is how far the hub has been told.
	told   uint64
	ranges [][2]uint64
	nacks  []delivery.Nack
	// refused are the messages of this session that were.
	refused uint64
	results map[object.Key]delivery.Result
	// done are messages of which nothing is left to do, where no result says that.
	done [][2]uint64
	// open: results are about a state that the hub knows.
	open bool
	// complete: the last message was a Bookmark that counts.
	complete bool
	diskFull bool
}

// stored is one record of the store; a tombstone when its state says so.
type stored struct {
	object.Holding
	object *object.Object
	state  delivery.State
	// sequence is that of the message of this session that the record is from; 0 if none.
	sequence uint64
}

func (s *stored) tombstone() bool {
	return s.state == delivery.Removing || s.state == delivery.RemoveFailed
}

// present is an object that was applied at the edge.
type present struct {
	uid    string
	digest object.Digest
	// released: left over on purpose.
	released bool
}

func newAgent(w *world, name string) *agent {
	return &agent{w: w, name: name, store: map[object.Key]*stored{}, edge: map[object.Key]present{}}
}

// crash loses all that is not durable.
func (a *agent) crash() {
	a.w.logf("%s crashes", a.name)
	a.disconnect()
}

func (a *agent) disconnect() {
	if a.link != nil {
		a.link.cut(a.w.random)
	}
	a.link, a.inbox, a.nacks, a.ranges = nil, nil, nil, nil
	a.all, a.told, a.refused, a.answered = 0, 0, 0, map[uint64]bool{}
	a.results, a.done, a.open, a.complete = map[object.Key]delivery.Result{}, nil, false, false
	for _, s := range a.store {
		s.sequence = 0
	}
}

// connect dials a manager.
func (a *agent) connect(m *manager) {
	a.disconnect()
	a.link = &link{}
	m.sessions = append(m.sessions, &session{manager: m, agent: a.name, link: a.link})
	h := hello{epoch: a.epoch, count: len(a.store), digest: a.digest(), view: a.view}
	a.w.logf("%s connects to %s holding %d", a.name, m.name, h.count)
	a.link.sendHub(h)
}

// digest is that of the desired set only if everything is applied.
func (a *agent) digest() object.Digest {
	var fingerprints []object.Digest
	for key, s := range a.store {
		fingerprint := s.Fingerprint(key)
		if s.state != delivery.Applied {
			fingerprint = object.DigestOf(append(fingerprint[:], byte(s.state)))
		}
		fingerprints = append(fingerprints, fingerprint)
	}
	return object.InventoryDigest(fingerprints)
}

// receive takes one message; what is to be stored waits for commit.
func (a *agent) receive() bool {
	if a.link == nil {
		return false
	}
	if len(a.link.toAgent) == 0 {
		if a.link.broken && len(a.inbox) == 0 {
			a.disconnect()
			return true
		}
		return false
	}
	_, isPut := a.link.toAgent[0].(delivery.Put)
	_, isRemoval := a.link.toAgent[0].(removal)
	if !isPut && !isRemoval && len(a.inbox) > 0 {
		return false
	}
	a.w.activity++
	switch message := pop(&a.link.toAgent).(type) {
	case welcome:
		a.welcomed = message
		a.open = !message.needInventory
		if message.needInventory {
			a.declare()
		}
	case bookmark:
		a.view, a.edits = message.view, message.edits
		if message.nacks == a.refused {
			a.epoch, a.complete = a.welcomed.epoch, true
			a.checkComplete(message.holds)
		}
	default:
		a.complete = false
		a.inbox = append(a.inbox, message)
	}
	return true
}

// declare sends the inventory in parts.
func (a *agent) declare() {
	a.results, a.open = map[object.Key]delivery.Result{}, true
	part := inventory{entries: map[object.Key]delivery.Held{}}
	for _, key := range slices.SortedFunc(maps.Keys(a.store), object.Key.Compare) {
		if len(part.entries) == 5 {
			a.link.sendHub(part)
			part = inventory{entries: map[object.Key]delivery.Held{}}
		}
		s := a.store[key]
		part.entries[key] = delivery.Held{Holding: s.Holding, State: s.state}
	}
	part.last = true
	a.link.sendHub(part)
}

// answer tells the hub what the store has decided, refusals first.
func (a *agent) answer() {
	if a.link == nil || len(a.nacks) == 0 && len(a.ranges) == 0 && a.all == a.told {
		return
	}
	a.w.activity++
	for _, n := range a.nacks {
		a.link.sendHub(n)
	}
	a.link.sendHub(ack{cumulative: a.all, ranges: a.ranges})
	a.told, a.nacks, a.ranges = a.all, nil, nil
}

// report sends the results that the hub has not had, never before the answers that
// they follow.
func (a *agent) report() {
	if a.link == nil || !a.open || len(a.results) == 0 && len(a.done) == 0 {
		return
	}
	a.answer()
	a.w.activity++
	message := applied{done: a.done}
	for _, key := range slices.SortedFunc(maps.Keys(a.results), object.Key.Compare) {
		message.results = append(message.results, a.results[key])
	}
	a.results, a.done = map[object.Key]delivery.Result{}, nil
	a.link.sendHub(message)
}

// apply works on one record that is not as it should be; false if there is none.
func (a *agent) apply(fails, crashes bool) bool {
	var todo []object.Key
	for key, s := range a.store {
		if s.state != delivery.Applied {
			todo = append(todo, key)
		}
	}
	if len(todo) == 0 {
		return false
	}
	slices.SortFunc(todo, object.Key.Compare)
	key := todo[a.w.random.IntN(len(todo))]
	s := a.store[key]
	a.w.activity++
	a.w.logf("%s applies %s: fails %t, crashes %t", a.name, key, fails, crashes)
	if !fails {
		a.change(key, s)
		if crashes {
			a.crash()
			return true
		}
	}
	a.record(key, s, fails)
	return true
}

func (a *agent) change(key object.Key, s *stored) {
	if s.tombstone() {
		delete(a.edge, key)
	} else {
		a.edge[key] = present{uid: s.UID, digest: s.Digest}
	}
}

func (a *agent) record(key object.Key, s *stored, fails bool) {
	switch {
	case s.tombstone() && fails:
		s.state = delivery.RemoveFailed
	case s.tombstone():
		delete(a.store, key)
		a.noteDone(s.sequence, delivery.Result{Key: key, UID: s.UID, Removed: true})
		return
	case fails:
		s.state = delivery.ApplyFailed
	default:
		s.state = delivery.Applied
	}
	a.noteState(key)
}

func (a *agent) noteResult(result delivery.Result) {
	if a.link != nil {
		a.results[result.Key] = result
	}
}

// noteDone says by its sequence that nothing is left to do of a message, or by a result.
func (a *agent) noteDone(sequence uint64, result delivery.Result) {
	if a.link == nil || sequence == 0 || a.w.random.IntN(2) == 0 {
		a.noteResult(result)
		return
	}
	delete(a.results, result.Key)
	a.done = append(a.done, [2]uint64{sequence, sequence})
}

func (a *agent) noteState(key object.Key) {
	s := a.store[key]
	if s == nil {
		return
	}
	result := delivery.Result{Key: key, UID: s.UID, Digest: s.Digest, State: s.state}
	if s.state == delivery.Applied {
		a.noteDone(s.sequence, result)
	} else {
		a.noteResult(result)
	}
}
