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
	"slices"
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
	// NackStale: the node holds a newer version than was sent.
	NackStale
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
	if cumulative > n.sequence {
		return nil, fmt.Errorf("%w: ack of message %d, but only %d were sent", ErrProtocol, cumulative, n.sequence)
	}
	var keys []object.Key
	for n.answered < cumulative {
		n.answered++
		keys = append(keys, n.persisted(now, n.answered)...)
	}
	return keys, nil
}

// AckRange is Ack for the messages from first to last, which may leave earlier ones out.
// However many ranges a node sends, each message is looked at once.
func (n *Node) AckRange(now time.Time, first, last uint64) ([]object.Key, error) {
	if last > n.sequence {
		return nil, fmt.Errorf("%w: ack of message %d, but only %d were sent", ErrProtocol, last, n.sequence)
	}
	from, _ := slices.BinarySearch(n.sent, first)
	to, exact := slices.BinarySearch(n.sent, last)
	if exact {
		to++
	}
	to = max(from, to) // a range backwards is empty
	acknowledged := slices.Clone(n.sent[from:to])
	n.sent = slices.Delete(n.sent, from, to)
	var keys []object.Key
	for _, sequence := range acknowledged {
		keys = append(keys, n.persisted(now, sequence)...)
	}
	return keys, nil
}

func (n *Node) persisted(now time.Time, sequence uint64) []object.Key {
	f := n.land(sequence)
	if f == nil {
		return nil
	}
	e := f.entry
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
	e.attempts, e.failure = 0, nil
	n.reconsider(now, e)
	return []object.Key{e.key}
}

// land takes a message out of the window.
func (n *Node) land(sequence uint64) *flight {
	f := n.flights[sequence]
	if f != nil {
		delete(n.flights, sequence)
		n.inFlight -= f.bytes
		f.entry.flight = nil
	}
	return f
}

// Nack takes over that the node has refused a message. It returns the keys concerned.
// A refusal that makes no sense counts as NackRetry, so that the message is not sent
// again at once.
func (n *Node) Nack(now time.Time, nack Nack) ([]object.Key, error) {
	if nack.Sequence > n.sequence {
		return nil, fmt.Errorf("%w: nack of message %d, but only %d were sent", ErrProtocol, nack.Sequence, n.sequence)
	}
	f := n.land(nack.Sequence)
	if f == nil {
		return nil, nil
	}
	e := f.entry
	switch {
	case nack.Code == NackReject && f.isPut:
		if e.wants(f.put) {
			e.refused = f.put
			n.fail(now, e, FailedRejected, nack.Message)
		}
	case nack.Code == NackStale && object.Older(f.put.Version, nack.Held.Version):
		if e.held != nil {
			nack.Held.Retain = e.held.Retain
		}
		e.held = &Held{Holding: nack.Held, State: Pending, since: now}
	default:
		e.attempts++
		e.retryAt = now.Add(max(n.config.backoff(e.attempts), nack.RetryAfter))
		n.fail(now, e, FailedToStore, nack.Message)
	}
	n.reconsider(now, e)
	return []object.Key{e.key}, nil
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
		e.held = nil
		n.reconsider(now, e)
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
	return true
}
