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

package store

import (
	"fmt"
	"time"

	"github.com/edgesync/edgesync/internal/object"
)

// Record is one object as the hub delivered it. Payload is nil in a tombstone and
// wherever only the inventory is asked for.
type Record struct {
	object.Object
	// Retain says that the object stays where it was applied once it is let go.
	Retain bool
}

// Holding is what the record makes the node hold.
func (r *Record) Holding() object.Holding {
	return object.Holding{UID: r.UID, Version: r.Version, Digest: r.Digest, Retain: r.Retain}
}

// State is how far the targets are with a record. The numbers are those of the
// wire's ApplyState: they are stored and enter the inventory digest.
type State uint8

// States of a record.
const (
	// Pending: stored, not yet applied.
	Pending State = iota + 1
	// Applied by every target.
	Applied
	// Failed: a target could not apply it.
	Failed
	// Removing: a tombstone; no longer held, not yet removed from every target.
	Removing
	// RemoveFailed: a tombstone that a target could not remove.
	RemoveFailed
	// Removed: gone from every target. It is never stored: SetStates with it
	// forgets the tombstone.
	Removed
	// Progressing: applied by every target, and not healthy yet by the word of one.
	Progressing
)

// States are all that an entry can have.
var States = []State{Pending, Applied, Progressing, Failed, Removing, RemoveFailed}

// valid reports whether the number is that of a state.
func (s State) valid() bool { return s >= Pending && s <= Progressing }

// Tombstone reports whether a record in this state is only waiting for its removal.
func (s State) Tombstone() bool { return s == Removing || s == RemoveFailed || s == Removed }

func (s State) String() string {
	names := [...]string{"", "Pending", "Applied", "Failed", "Removing", "RemoveFailed", "Removed", "Progressing"}
	if s == 0 || int(s) >= len(names) {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return names[s]
}

// Entry is a record or tombstone with its state.
type Entry struct {
	Record
	State State
	// Message says why the state is what it is; cut to fit on the wire.
	Message string
	// Since is when State last changed, to the second.
	Since time.Time
	// Revision changes whenever there is something new to apply or to remove.
	Revision uint64
}

// Op is one change that the hub asks for: exactly one of its fields is set.
type Op struct {
	Put    *Put
	Delete *Delete
}

// Put stores a record. Commit computes its digest.
type Put struct {
	Record
	// Force replaces a newer version too.
	Force bool
}

// Delete lets go of the object with just this UID.
type Delete struct {
	Key object.Key
	UID string
	// Release forgets the object and leaves it where it was applied.
	Release bool
	// AsOf is the version up to which the sender knows the objects of the kind; empty
	// if it does not say. A newer object than that is not deleted.
	AsOf string
}

// Result says what Commit did with an Op.
type Result uint8

const (
	// Stored means that it is durable, or there was nothing to change.
	Stored Result = iota
	// Stale means that what is held is newer than what was to be put, or than what
	// whoever has it deleted knows.
	Stale
	// Invalid means that it can never be stored.
	Invalid
)

// Outcome is what became of one Op.
type Outcome struct {
	Result Result
	// Work says that the targets have something to do for the key.
	Work bool
	// Held is what is held of the key afterwards; zero if that is nothing, or if the Op
	// is Invalid.
	Held object.Holding
	// Err says why an Op is Invalid.
	Err error
}

// StateChange is what the targets made of one revision of a record.
type StateChange struct {
	Key      object.Key
	Revision uint64
	State    State
	Message  string
}
