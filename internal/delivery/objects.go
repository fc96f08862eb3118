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

package delivery

import (
	"iter"
	"math"
	"time"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// Stage is how far the delivery of one object has come.
type Stage int

// Stages, in the order in which an object goes through them.
const (
	// StageFrozen: the node keeps what it holds.
	StageFrozen Stage = iota
	// StageWaiting: it keeps what it holds since its turn in a rollout has not come.
	StageWaiting
	// StageQueued: to be sent, or to be deleted.
	StageQueued
	// StageSent: sent, and not answered.
	StageSent
	// StagePersisted: stored by the node, not applied yet.
	StagePersisted
	// StageProgressing: applied, and not healthy yet.
	StageProgressing
	// StageSynced: stored and applied.
	StageSynced
	// StageRemoving: no longer held, not yet removed where it was applied.
	StageRemoving
	// StageHeldBack: to be deleted once that is approved.
	StageHeldBack
	// StageFailed: see the Failure.
	StageFailed
)

// Object is what is known of one object of a node.
type Object struct {
	Key  object.Key
	Want desired.Want
	// Held is what the node holds; nil if it holds nothing.
	Held    *Held
	Stage   Stage
	Failure *Failure
	// Sent, Persisted and Applied are when the last message about it was sent in this
	// session, and when the node answered that it was stored, and applied or removed; zero
	// if that has not happened. They are exact to a millisecond.
	Sent, Persisted, Applied time.Time
}

// Objects are all that the node holds or should hold, in no order. What they refer to
// belongs to the Node, and is good until its next method is called.
func (n *Node) Objects() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for key, e := range n.entries {
			stage, failure := e.stage()
			if !yield(Object{
				Key: key, Want: e.want, Held: e.held, Stage: stage, Failure: failure,
				Sent: n.clock.time(e.sentAt), Persisted: n.clock.time(e.persistedAt), Applied: n.clock.time(e.appliedAt),
			}) {
				return
			}
		}
	}
}

func (e *entry) stage() (Stage, *Failure) {
	switch progress, failure := e.progress(); {
	case progress == Failing:
		return StageFailed, failure
	case progress == HeldBack:
		return StageHeldBack, nil
	case e.flight != nil:
		return StageSent, nil
	case e.held != nil && e.held.State.removing():
		return StageRemoving, nil
	case progress == InSync && e.want.Object != nil:
		return StageSynced, nil
	case e.want.Waiting:
		return StageWaiting, nil
	case e.want.Frozen:
		return StageFrozen, nil
	case e.want.Object != nil && e.held != nil && e.held.Same(e.want.Holding()):
		if e.held.State == Progressing {
			return StageProgressing, nil
		}
		return StagePersisted, nil
	default:
		return StageQueued, nil
	}
}

// clock keeps times in four bytes: as milliseconds since a moment before the first.
type clock struct{ epoch time.Time }

// at is a time as it is kept; never 0, which is no time.
func (c *clock) at(now time.Time) uint32 {
	if c.epoch.IsZero() {
		c.epoch = now.Add(-time.Millisecond)
	}
	return uint32(max(1, min(now.Sub(c.epoch).Milliseconds(), math.MaxUint32)))
}

func (c *clock) time(at uint32) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return c.epoch.Add(time.Duration(at) * time.Millisecond)
}
