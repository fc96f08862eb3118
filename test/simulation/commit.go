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
	"github.com/edgesync/edgesync/internal/object"
)

// commit makes some of the received messages durable, all at once, and notes the
// answers to them. Those that are left out are committed later.
func (a *agent) commit(takes func() bool) bool {
	var left []any
	before := len(a.inbox)
	for _, message := range a.inbox {
		if !takes() {
			left = append(left, message)
			continue
		}
		a.w.activity++
		switch m := message.(type) {
		case delivery.Put:
			a.settle(m.Sequence, a.put(m))
		case removal:
			a.settle(m.Sequence, a.remove(m))
		}
	}
	a.inbox = left
	return len(left) < before
}

// settle notes the answer to a message: a refusal, if there is one.
func (a *agent) settle(sequence uint64, refusal *delivery.Nack) {
	a.answered[sequence] = true
	if refusal != nil {
		refusal.Sequence = sequence
		a.refused++
		a.nacks = append(a.nacks, *refusal)
	} else if sequence != a.all+1 {
		a.ranges = append(a.ranges, [2]uint64{sequence, sequence})
	}
	for a.answered[a.all+1] {
		a.all++
		delete(a.answered, a.all)
	}
}

func (a *agent) put(put delivery.Put) *delivery.Nack {
	key := put.Object.Key
	a.w.logf("%s stores %s", a.name, describe(put))
	switch {
	case a.diskFull:
		return &delivery.Nack{Code: delivery.NackRetry, Message: "disk full", RetryAfter: time.Second}
	case put.Base != (object.Digest{}) && (a.held(key).Digest != put.Base || a.w.random.IntN(8) == 0):
		return &delivery.Nack{Code: delivery.NackNoBase}
	case isPoisoned(put.Object.Payload):
		return &delivery.Nack{Code: delivery.NackReject, Message: "poisoned"}
	}
	incoming := object.Holding{
		UID: put.Object.UID, Version: put.Object.Version, Digest: put.Object.Digest, Retain: put.Retain,
	}
	held, s := a.held(key), a.store[key]
	holds := held.UID != ""
	switch delivery.Admit(held, holds, incoming, put.Force) {
	case delivery.Stale:
		a.w.logf("%s refuses it as stale: it holds %s", a.name, held.Version)
		return a.stale(key, s)
	case delivery.Refresh:
		s.Version, s.object, s.sequence = incoming.Version, put.Object, put.Sequence
		a.noteState(key)
	default:
		a.store[key] = &stored{Holding: incoming, object: put.Object, state: delivery.Pending, sequence: put.Sequence}
	}
	a.checkPut(key, held, holds, put)
	return nil
}

// held is what the store has under a key, and is not only to be removed.
func (a *agent) held(key object.Key) object.Holding {
	if s := a.store[key]; s != nil && !s.tombstone() {
		return s.Holding
	}
	return object.Holding{}
}

// stale refuses what is older than a record. What that record came by counts for nothing
// with the hub from then on.
func (a *agent) stale(key object.Key, s *stored) *delivery.Nack {
	s.sequence = 0
	a.noteState(key)
	return &delivery.Nack{Code: delivery.NackStale, Held: wireHolding(s.Holding)}
}

// wireHolding is what a refusal as stale has room for.
func wireHolding(h object.Holding) object.Holding {
	return object.Holding{UID: h.UID, Version: h.Version, Digest: h.Digest}
}

func (a *agent) remove(del removal) *delivery.Nack {
	a.w.logf("%s removes %s", a.name, describe(del.Delete))
	if a.diskFull {
		return &delivery.Nack{Code: delivery.NackRetry, Message: "disk full"}
	}
	s := a.store[del.Key]
	if s == nil || s.UID != del.UID {
		a.noteDone(del.Sequence, delivery.Result{Key: del.Key, UID: del.UID, Removed: true})
		return nil
	}
	if !s.tombstone() && del.AsOf != "" && object.Older(del.AsOf, s.Version) {
		a.w.logf("%s refuses it as stale: it holds %s", a.name, s.Version)
		return a.stale(del.Key, s)
	}
	a.checkRemoval(del, s)
	if del.Release {
		delete(a.store, del.Key)
		if left, ok := a.edge[del.Key]; ok {
			left.released = true
			a.edge[del.Key] = left
		}
		return nil
	}
	if !s.tombstone() {
		s = &stored{Holding: s.Holding, object: s.object, state: delivery.Removing}
		a.store[del.Key] = s
	}
	s.sequence = del.Sequence
	return nil
}
