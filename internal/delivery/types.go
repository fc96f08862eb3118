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
	"time"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// Config bounds what is under way to one node.
type Config struct {
	// WindowMessages and WindowBytes bound what is sent and not answered, but for messages
	// that others have overtaken. On a slow link it is less. The oldest one does not count
	// for WindowBytes: an object that is larger may still go, and keeps nothing waiting.
	WindowMessages int
	WindowBytes    int
	// MaxObjectBytes is the largest payload that the node accepts.
	MaxObjectBytes int
	// RetryBase is the first delay after the node could not store an object; it
	// doubles up to RetryMax.
	RetryBase time.Duration
	RetryMax  time.Duration
	// Persisted and Applied are called, unless they are nil, with how long it took from
	// sending a message to its being persisted, and to its being applied or removed.
	Persisted, Applied func(time.Duration)
}

// State is what has become of an object that the node holds.
type State int

// States of a held object.
const (
	// Pending: stored, not yet applied.
	Pending State = iota
	// Applied by every target.
	Applied
	// Progressing: applied by every target, and not healthy yet.
	Progressing
	// ApplyFailed: a target failed; the node tries again.
	ApplyFailed
	// Removing: no longer held, not yet removed from every target.
	Removing
	// RemoveFailed: no longer held; a target failed to remove it; the node tries again.
	RemoveFailed
)

func (s State) removing() bool { return s == Removing || s == RemoveFailed }

// Held is one entry of a node's inventory.
type Held struct {
	object.Holding
	State   State
	Message string
	// Foreign says that the node got the object from another cluster, so that its
	// version cannot be compared.
	Foreign bool
	since   time.Time
}

// Change is a key together with what the node should do about it now.
type Change struct {
	Key  object.Key
	Want desired.Want
	// Bulk: see desired.Sink. Removals in bulk are subject to the mass-delete guard.
	Bulk bool
}

// Message is one of Put, Delete and Bookmark.
type Message interface{ message() }

// Put gives the node an object.
type Put struct {
	Sequence uint64
	Object   *object.Object
	// Base is the digest of what the node holds of the same object, to which a difference
	// can be made; zero if it must be sent in full.
	Base   object.Digest
	Retain bool
	// Force replaces a newer version too.
	Force bool
}

// Delete takes an object with just this uid away from the node.
type Delete struct {
	Sequence uint64
	Key      object.Key
	UID      string
	// Release has the node forget the object and leave it where it was applied.
	Release bool
	// AsOf is the resource version up to which the deletion is known to be right; empty if
	// it is right whatever the node holds.
	AsOf string
}

// Bookmark tells the node that it has been sent all that it should hold. It counts if the
// node has refused none of that: if it had sent just so many Nacks. Otherwise another one
// follows what has become of them.
type Bookmark struct{ Nacks uint64 }

func (Put) message()      {}
func (Delete) message()   {}
func (Bookmark) message() {}
