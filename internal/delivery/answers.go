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
	"fmt"
	"time"

	"github.com/edgesync/edgesync/internal/object"
)

// Code says who has to act on a Nack.
type Code int

// Codes of a Nack.
const (
	// NackRetry: the node could not do it now; it is sent again after a delay.
	NackRetry Code = iota
	// NackReject: not sent again until the object changes.
	NackReject
	// NackStale: the node holds a newer version than was sent, or than a deletion is as of.
	NackStale
	// NackNoBase: the node does not hold what a difference is to; it is sent in full.
	NackNoBase
)

// Nack is the refusal of one message.
type Nack struct {
	Sequence uint64
	Code     Code
	Message  string
	// RetryAfter is the least delay for NackRetry.
	RetryAfter time.Duration
	// Held is what the node holds, for NackStale. Its Retain is not looked at: it is
	// known already.
	Held object.Holding
}

// Result reports what has become of an object after it was acknowledged.
type Result struct {
	Key    object.Key
	UID    string
	Digest object.Digest
	State  State
	// Removed says that nothing is left of the object; State does not matter then.
	Removed bool
	Message string
}

// Ack takes over that all messages up to cumulative are persisted or refused. It
// returns the keys concerned.
func (n *Node) Ack(now time.Time, cumulative uint64) ([]object.Key, error) {
	return n.AckRange(now, 0, cumulative)
}

// AckRange is Ack for the messages from first to last, which may leave earlier ones out.
// However many ranges a node sends, each message is looked at once.
func (n *Node) AckRange(now time.Time, first, last uint64) ([]object.Key, error) {
	if err := n.mustHaveSent("ack", last); err != nil {
		return nil, err
	}
	acknowledged := n.sent.take(first, last)
	if len(acknowledged) == 0 {
		return nil, nil
	}
	keys := make([]object.Key, 0, len(acknowledged))
	for _, f := range acknowledged {
		n.land(now, f)
		keys = append(keys, f.entry.key)
		n.persisted(now, f)
	}
	return keys, nil
}

func (n *Node) mustHaveSent(answer string, sequence uint64) error {
	if sequence > n.sequence {
		return fmt.Errorf("%w: %s of message %d, but only %d were sent", ErrProtocol, answer, sequence, n.sequence)
	}
	return nil
}

func (n *Node) persisted(now time.Time, f *flight) {
	e := f.entry
	n.forgetUndone(e)
	took(n.config.Persisted, now, f)
	switch {
	case f.isPut:
		e.held = &Held{Holding: f.put, State: Pending, since: now}
	case f.release:
		e.held = nil
	default:
		e.held.State, e.held.since = Removing, now
		e.removal = unguarded
		delete(n.bulk, e.key)
	}
	if e.held != nil {
		e.undone = f
		n.undone.add(f)
	}
	e.persistedAt, e.full = n.clock.at(now), false
	if e.trouble != nil {
		e.trouble.attempts, e.trouble.failure = 0, nil
	}
	n.reconsider(now, e)
}

// took passes on how long ago a message was sent.
func took(to func(time.Duration), now time.Time, f *flight) {
	if to != nil && f != nil {
		to(now.Sub(f.at))
	}
}

func (n *Node) forgetUndone(e *entry) {
	if e.undone != nil {
		n.undone.drop(e.undone)
		e.undone = nil
	}
}

// land takes a message out of the window, and with it whatever was sent before, which the
// link must have carried.
func (n *Node) land(now time.Time, f *flight) {
	f.entry.flight = nil
	n.forgive(f)
	n.pass(f)
	if n.passedTo < f.sequence {
		for i, _ := n.sent.index(n.passedTo + 1); i < len(n.sent.list) && n.sent.list[i].sequence < f.sequence; i++ {
			n.pass(n.sent.list[i])
		}
		n.passedTo = f.sequence
	}
	n.window.answered(f, now.Sub(f.at), n.sequence)
}

func (n *Node) pass(f *flight) {
	if f.entry != nil && !f.passed {
		f.passed = true
		n.inFlight -= f.bytes
		n.underWay--
	}
}

// Nack takes over that the node has refused a message. It returns the keys concerned.
// A refusal that makes no sense counts as NackRetry, so that the message is not sent
// again at once.
func (n *Node) Nack(now time.Time, nack Nack) ([]object.Key, error) {
	if err := n.mustHaveSent("nack", nack.Sequence); err != nil {
		return nil, err
	}
	n.nacks++
	n.bookmarked = false
	f := n.sent.find(nack.Sequence)
	if f == nil {
		return nil, nil
	}
	e := f.entry
	n.land(now, f)
	n.sent.drop(f)
	switch {
	case nack.Code == NackReject && f.isPut:
		if e.wants(f.put) {
			e.troubles().refused = f.put
			n.fail(now, e, FailedRejected, nack.Message)
		}
	case nack.Code == NackStale && object.Older(f.put.Version, nack.Held.Version):
		n.overtaken(now, e, nack.Held)
	case nack.Code == NackNoBase && f.isPut && !e.full:
		e.full = true
	default:
		t := e.troubles()
		t.attempts++
		t.retryAt = now.Add(max(n.config.backoff(t.attempts), nack.RetryAfter))
		n.fail(now, e, FailedToStore, nack.Message)
	}
	n.reconsider(now, e)
	return []object.Key{e.key}, nil
}

// overtaken takes over that the node holds something newer than was known.
func (n *Node) overtaken(now time.Time, e *entry, holds object.Holding) {
	if e.held != nil {
		holds.Retain = e.held.Retain
	}
	n.forgetUndone(e)
	e.held = &Held{Holding: holds, State: Pending, since: now}
}

func (c Config) backoff(attempts int) time.Duration {
	delay := c.RetryBase
	for ; attempts > 1 && delay < c.RetryMax; attempts-- {
		delay *= 2
	}
	return min(delay, c.RetryMax)
}

// Applied takes over a result. One about something that is no longer held is
// ignored. It reports whether anything changed.
func (n *Node) Applied(now time.Time, result Result) bool {
	e := n.entries[result.Key]
	if e == nil || e.held == nil || e.held.UID != result.UID {
		return false
	}
	if result.Removed {
		if !e.held.State.removing() {
			return false
		}
		took(n.config.Applied, now, e.undone)
		n.removed(now, e)
		return true
	}
	if e.held.State.removing() != result.State.removing() ||
		!result.State.removing() && e.held.Digest != result.Digest {
		return false
	}
	if e.held.State != result.State {
		e.held.since = now
	}
	e.held.State, e.held.Message = result.State, result.Message
	n.texts.keep(&e.held.Message)
	if result.State == Applied {
		took(n.config.Applied, now, e.undone)
		n.forgetUndone(e)
		e.appliedAt = n.clock.at(now)
	}
	return true
}

func (n *Node) removed(now time.Time, e *entry) {
	n.forgetUndone(e)
	e.held, e.appliedAt = nil, n.clock.at(now)
	n.reconsider(now, e)
}

// Done takes over that nothing is left to do of the messages from first to last: what
// they brought is applied, what they named is removed. Those that are not acknowledged,
// or that something later has replaced, count for nothing. It returns the keys concerned.
func (n *Node) Done(now time.Time, first, last uint64) ([]object.Key, error) {
	if err := n.mustHaveSent("result", last); err != nil {
		return nil, err
	}
	done := n.undone.take(first, last)
	if len(done) == 0 {
		return nil, nil
	}
	keys := make([]object.Key, 0, len(done))
	for _, f := range done {
		e := f.entry
		e.undone = nil
		took(n.config.Applied, now, f)
		keys = append(keys, e.key)
		if !f.isPut {
			n.removed(now, e)
			continue
		}
		e.held.State, e.held.Message, e.held.since = Applied, "", now
		e.appliedAt = n.clock.at(now)
	}
	return keys, nil
}
