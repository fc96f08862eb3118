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
	"cmp"
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/object"
)

// Reason is why a node does not have an object as it should.
type Reason int

// Reasons of a Failure.
const (
	FailedRejected Reason = iota
	FailedTooLarge
	FailedToStore
	FailedToApply
	FailedToRemove
)

// Failure is one object that went wrong on the node.
type Failure struct {
	Key object.Key
	// Ref names the object as status does.
	Ref     string
	Reason  Reason
	Message string
	Since   time.Time
}

// Progress is how far the node is with one key.
type Progress int

// Progress, best to worst.
const (
	// InSync: the node has stored and applied what it should; or holds nothing, as it should.
	InSync Progress = iota
	// Waiting: the node keeps what it has since its turn in a rollout has not come, of one
	// sync or another.
	Waiting
	// InProgress: something is still to be sent, stored, applied or removed.
	InProgress
	// HeldBack: a deletion waits for approval.
	HeldBack
	// Failing: see the Failure.
	Failing
)

// Summary sums up a node.
type Summary struct {
	Desired, Held, Pending, Failed, HeldBack int
	// Kept is how many objects the node keeps because it is not known, or not to be
	// decided now, whether it should hold them.
	Kept int
	// Waiting is how many of those Pending wait for the turn of the node in a rollout.
	Waiting int
	// Failures are the first ten by object.
	Failures []Failure
	// ApprovalCode approves the deletions that are held back.
	ApprovalCode string
}

const maxFailures = 10

func (n *Node) fail(now time.Time, e *entry, reason Reason, message string) {
	t := e.troubles()
	since := now
	if t.failure != nil && t.failure.Reason == reason {
		since = t.failure.Since
	}
	t.failure = &Failure{Key: e.key, Ref: e.ref(), Reason: reason, Message: message, Since: since}
	n.texts.keep(&t.failure.Message)
}

func (e *entry) ref() string {
	if e.want.Object != nil {
		return e.key.Ref(e.want.Object.APIVersion)
	}
	return e.key.String()
}

// Progress reports how far the node is with a key, with the failure if it is Failing.
func (n *Node) Progress(key object.Key) (Progress, *Failure) {
	e := n.entries[key]
	if e == nil {
		return InSync, nil
	}
	return e.progress()
}

func (e *entry) progress() (Progress, *Failure) {
	if failure := e.currentFailure(); failure != nil {
		return Failing, failure
	}
	switch {
	case e.flight != nil:
		return InProgress, nil
	case e.want.Object == nil && e.held == nil:
		return InSync, nil
	case e.waits():
		return Waiting, nil
	case e.want.Object == nil && e.want.Frozen:
		return InSync, nil
	case e.want.Object == nil && e.removal == heldBack && !e.want.Approved && !e.held.State.removing():
		return HeldBack, nil
	case e.want.Object != nil && e.held != nil && e.held.State == Applied && e.held.Same(e.want.Holding()):
		return InSync, nil
	default:
		return InProgress, nil
	}
}

// waits reports whether the node holds something else than it gets in its turn.
func (e *entry) waits() bool {
	return e.want.Waiting && (e.held == nil || !e.held.State.removing() && !e.wants(e.held.Holding))
}

// currentFailure is a failure of what is wanted now, or of a removal.
func (e *entry) currentFailure() *Failure {
	if failure := e.known().failure; failure != nil {
		return failure
	}
	if e.held == nil {
		return nil
	}
	reason := FailedToApply
	switch e.held.State {
	case ApplyFailed:
		if e.want.Object == nil || !e.held.Same(e.want.Holding()) {
			return nil
		}
	case RemoveFailed:
		reason = FailedToRemove
	default:
		return nil
	}
	return &Failure{Key: e.key, Ref: e.ref(), Reason: reason, Message: e.held.Message, Since: e.held.since}
}

// Summary sums up all keys.
func (n *Node) Summary() Summary {
	summary := Summary{ApprovalCode: n.ApprovalCode()}
	for _, e := range n.entries {
		if e.want.Object != nil {
			summary.Desired++
		}
		if e.held != nil && !e.held.State.removing() {
			summary.Held++
			if e.want.Object == nil && e.want.Frozen {
				summary.Kept++
			}
		}
		switch progress, failure := e.progress(); progress {
		case Waiting:
			summary.Waiting++
			summary.Pending++
		case InProgress:
			summary.Pending++
		case HeldBack:
			summary.HeldBack++
		case Failing:
			summary.Failed++
			summary.Failures = append(summary.Failures, *failure)
		}
	}
	slices.SortFunc(summary.Failures, func(a, b Failure) int { return cmp.Compare(a.Ref, b.Ref) })
	summary.Failures = summary.Failures[:min(len(summary.Failures), maxFailures)]
	return summary
}
