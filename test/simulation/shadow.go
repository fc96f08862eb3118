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
	"math"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// shadow follows a session from outside of the core, so that what the core says and
// does can be checked against it.
type shadow struct {
	s *session
	// view is the manager's at the last absorb.
	view view
	// wants is what the delivery was last given.
	wants map[object.Key]desired.Want
	held  map[object.Key]delivery.Held
	// flights are the messages not yet answered, of which underWay, of so many bytes, were
	// not passed by others.
	flights         map[uint64]shadowFlight
	underWay, bytes int
	// nacks are those that have come.
	nacks uint64
	// removals are the deletions that are persisted, by sequence.
	removals map[uint64]delivery.Result
	// guarded are the keys whose removal needs approval.
	guarded map[object.Key]bool
	// unwanted is the revision up to which keys are known to be unwanted.
	unwanted map[object.Key]int
	// released are those whose removal was approved by its code.
	released map[object.Key]bool
	// single are the keys whose objects were deleted, each by itself.
	single map[object.Key]bool
}

type shadowFlight struct {
	key     object.Key
	bytes   int
	put     *object.Holding
	release bool
	// passed: something sent later has been answered.
	passed bool
}

func newShadow(s *session) *shadow {
	return &shadow{
		s:        s,
		wants:    map[object.Key]desired.Want{},
		held:     maps.Clone(s.held),
		flights:  map[uint64]shadowFlight{},
		removals: map[uint64]delivery.Result{},
		guarded:  map[object.Key]bool{},
		released: map[object.Key]bool{},
		unwanted: map[object.Key]int{},
		single:   map[object.Key]bool{},
	}
}

func removing(state delivery.State) bool {
	return state == delivery.Removing || state == delivery.RemoveFailed
}

// desired takes over what the delivery is about to be given, and works out which
// removals are too many for one change.
func (sh *shadow) desired(changes []delivery.Change) {
	sh.view = sh.s.manager.view()
	bulk, doomed, held := map[object.Key]bool{}, map[object.Key]bool{}, 0
	for _, change := range changes {
		bulk[change.Key] = bulk[change.Key] || change.Bulk
	}
	for _, h := range sh.held {
		if !removing(h.State) {
			held++
		}
	}
	for _, change := range changes {
		key := change.Key
		before, known := sh.wants[key]
		h, holds := sh.held[key]
		if change.Want.Object != nil || change.Want.Frozen {
			delete(sh.single, key)
		}
		if change.Want.Object != nil {
			delete(sh.guarded, key)
			delete(sh.released, key)
		} else if news := !known || before.Frozen || before.Object != nil; news && !change.Want.Frozen &&
			holds && !removing(h.State) && !h.Retain {
			doomed[key] = bulk[key] || !known || before.Frozen
			sh.single[key] = !doomed[key]
		}
	}
	for _, change := range changes {
		sh.wants[change.Key] = change.Want
		sh.noteUnwanted(change)
	}
	maps.DeleteFunc(doomed, func(_ object.Key, bulk bool) bool { return !bulk })
	if len(doomed) >= 10 && 2*len(doomed) > held {
		maps.DeleteFunc(doomed, func(key object.Key, _ bool) bool { return sh.released[key] })
		maps.Copy(sh.guarded, doomed)
	}
}

func (sh *shadow) approved(code string) {
	if code == "" || code != sh.s.node.ApprovalCode() {
		return
	}
	for key := range sh.guarded {
		if sh.wants[key].Object == nil {
			delete(sh.guarded, key)
			sh.released[key] = true
		}
	}
}

func (sh *shadow) sent(message delivery.Message) {
	switch m := message.(type) {
	case delivery.Put:
		sh.checkPut(m)
		put := object.Holding{UID: m.Object.UID, Version: m.Object.Version, Digest: m.Object.Digest, Retain: m.Retain}
		sh.fly(m.Sequence, shadowFlight{key: m.Object.Key, bytes: len(m.Object.Payload), put: &put})
	case delivery.Delete:
		sh.checkDelete(m)
		sh.fly(m.Sequence, shadowFlight{key: m.Key, release: m.Release})
	}
}

func (sh *shadow) fly(sequence uint64, f shadowFlight) {
	w := sh.s.manager.w
	for _, other := range sh.flights {
		if other.key == f.key {
			w.failf("two messages about %s are in flight", f.key)
		}
	}
	sh.bytes += f.bytes
	sh.underWay++
	sh.flights[sequence] = f
	besideOldest := sh.bytes - sh.oldestBytes()
	if sh.underWay > w.limits.WindowMessages || sh.underWay > 2 && besideOldest > w.limits.WindowBytes {
		w.failf("%d messages are under way, of %d bytes beside the oldest", sh.underWay, besideOldest)
	}
}

// oldestBytes are those of the oldest message under way, which do not count for the window.
func (sh *shadow) oldestBytes() int {
	oldest := uint64(math.MaxUint64)
	for sequence, f := range sh.flights {
		if !f.passed {
			oldest = min(oldest, sequence)
		}
	}
	return sh.flights[oldest].bytes
}

func (sh *shadow) land(sequence uint64) (shadowFlight, bool) {
	f, ok := sh.flights[sequence]
	if !ok {
		return f, false
	}
	sh.pass(sequence)
	for other := range sh.flights {
		if other < sequence {
			sh.pass(other)
		}
	}
	delete(sh.flights, sequence)
	return f, true
}

func (sh *shadow) pass(sequence uint64) {
	if f := sh.flights[sequence]; !f.passed {
		sh.underWay--
		sh.bytes -= f.bytes
		f.passed = true
		sh.flights[sequence] = f
	}
}

func (sh *shadow) acked(first, last uint64) {
	for sequence := range sh.flights {
		if sequence < first || last < sequence {
			continue
		}
		f, _ := sh.land(sequence)
		switch {
		case f.put != nil:
			sh.held[f.key] = delivery.Held{Holding: *f.put}
		case f.release:
			delete(sh.held, f.key)
		default:
			h := sh.held[f.key]
			h.State = delivery.Removing
			sh.held[f.key] = h
			sh.removals[sequence] = delivery.Result{Key: f.key, UID: h.UID, Removed: true}
		}
	}
}

func (sh *shadow) nacked(n delivery.Nack) {
	sh.nacks++
	f, ok := sh.land(n.Sequence)
	if ok && n.Code == delivery.NackStale {
		// A refusal does not say whether the object is retained, but that has not changed.
		n.Held.Retain = sh.held[f.key].Retain
		sh.held[f.key] = delivery.Held{Holding: n.Held}
	}
}

func (sh *shadow) applied(result delivery.Result) {
	if h, ok := sh.held[result.Key]; ok && result.Removed && removing(h.State) && h.UID == result.UID {
		delete(sh.held, result.Key)
	}
}

// done takes over that nothing is left to do of some messages.
func (sh *shadow) done(first, last uint64) {
	for sequence, result := range sh.removals {
		if first <= sequence && sequence <= last {
			sh.applied(result)
			delete(sh.removals, sequence)
		}
	}
}

// noteUnwanted notes up to which revision a key is known to be unwanted.
func (sh *shadow) noteUnwanted(change delivery.Change) {
	switch {
	case change.Want.Object != nil:
		delete(sh.unwanted, change.Key)
	case !change.Want.Frozen:
		revision := sh.s.manager.w.wish(sh.view, sh.s.agent, change.Key).revision
		if revision == 0 {
			revision = anyRevision
		}
		sh.unwanted[change.Key] = max(sh.unwanted[change.Key], revision)
	}
}

// anyRevision: nothing uses the kind, so nothing of it is wanted at any revision.
const anyRevision = 1 << 30

// seen is the version up to which a key is known to be unwanted; empty if there is no
// reason to compare it.
func (sh *shadow) seen(key object.Key) string {
	if sh.s.foreign {
		return ""
	}
	return sh.s.manager.w.api.listVersion(sh.unwanted[key])
}
