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
}

// Objects are all that the node holds or should hold, in no order. What they refer to
// belongs to the Node, and is good until its next method is called.
func (n *Node) Objects() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for key, e := range n.entries {
			stage, failure := e.stage()
			if !yield(Object{Key: key, Want: e.want, Held: e.held, Stage: stage, Failure: failure}) {
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
		return StagePersisted, nil
	default:
		return StageQueued, nil
	}
}
