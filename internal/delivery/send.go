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
	"maps"
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/object"
)

// messageBytes is what a message takes beside the payload, as an estimate.
const messageBytes = 128

// Next takes the messages that may be sent now, at most most of them and, beyond
// the first, at most mostBytes of payload. It gives nothing while the window is full, or
// the rate is used up.
func (n *Node) Next(now time.Time, most, mostBytes int) []Message {
	n.wakeDelayed(now)
	var messages []Message
	payloads, bytes := 0, 0
	for len(messages) < most {
		e := n.queue.first()
		if e == nil {
			break
		}
		act := e.decide(n.config.MaxObjectBytes)
		payload, size := e.payloadBytes(act), n.estimate(e, act)
		fits := len(messages) == 0 || payloads+payload <= mostBytes && bytes+size <= n.window.frame()
		if !fits || !n.windowOpen(size) || n.rate.next().After(now) {
			return messages
		}
		n.queue.remove(e)
		messages = append(messages, n.send(now, e, act))
		payloads, bytes = payloads+payload, bytes+size
	}
	if len(messages) < most && !n.bookmarked && n.complete() {
		n.bookmarked = true
		messages = append(messages, Bookmark{Nacks: n.nacks})
	}
	return messages
}

// windowOpen reports whether one more message of size bytes may be under way. The oldest
// one does not count: whatever is sent beside it and answered shows that the link is free,
// even if the oldest is never answered. Unless the link is slow, beside it there is room
// for one of any size.
func (n *Node) windowOpen(size int) bool {
	switch {
	case n.underWay == 0:
		return true
	case n.underWay >= n.config.WindowMessages:
		return false
	case n.underWay == 1 && !n.window.slow():
		return true
	default:
		return n.inFlight-n.oldestBytes()+size <= n.window.bytes
	}
}

// oldestBytes are those of the first message that counts for the window.
func (n *Node) oldestBytes() int {
	i, _ := n.sent.index(n.passedTo + 1)
	return n.sent.list[i].bytes
}

// complete reports whether nothing is left to be sent if the node accepts what is under way.
func (n *Node) complete() bool {
	return n.queue.first() == nil && n.outdated == 0 && len(n.delayed) == 0 && len(n.waiting) == 0
}

func (n *Node) send(now time.Time, e *entry, act action) Message {
	n.sequence++
	size := n.estimate(e, act)
	n.underWay++
	n.inFlight += size
	n.rate.sent(now, size+messageBytes)
	f := &flight{sequence: n.sequence, entry: e, bytes: size, at: now}
	n.queued(f)
	n.sent.add(f)
	e.flight, e.sentAt = f, n.clock.at(now)
	if act == remove || act == release {
		f.release, f.put.Version = act == release, e.asOf()
		return Delete{Sequence: n.sequence, Key: e.key, UID: e.held.UID, Release: f.release, AsOf: f.put.Version}
	}
	f.isPut, f.put = true, e.want.Holding()
	base := e.base()
	if base != (object.Digest{}) {
		f.payload = len(e.want.Object.Payload)
	}
	return Put{
		Sequence: n.sequence, Object: e.want.Object, Base: base, Retain: e.want.Retain, Force: act == force,
	}
}

// asOf is up to which version the removal of what is held is right.
func (e *entry) asOf() string {
	if e.held.Foreign || e.rewound() {
		return ""
	}
	return e.want.Seen
}

// base is what the node has of the object; zero if it has nothing, or is said to.
func (e *entry) base() object.Digest {
	if e.full || e.held == nil || e.held.State.removing() || e.held.UID != e.want.Object.UID {
		return object.Digest{}
	}
	return e.held.Digest
}

func (e *entry) payloadBytes(act action) int {
	if act == remove || act == release {
		return 0
	}
	return len(e.want.Object.Payload)
}

// estimate is how many bytes a message counts for until it is Encoded: those of its
// payload, or, of a difference, the share that differences lately had of theirs.
func (n *Node) estimate(e *entry, act action) int {
	bytes := e.payloadBytes(act)
	if bytes > 0 && e.base() != (object.Digest{}) {
		bytes -= int(n.saved * float64(bytes))
	}
	return bytes
}

// learn adapts the estimate: at once to a difference that has saved less than those
// before, half of the way to one that has saved more.
func (n *Node) learn(payload, bytes int) {
	saved := max(0, 1-float64(bytes)/float64(payload))
	n.saved = min(saved, (n.saved+saved)/2)
}

// Encoded takes over how many bytes a message has, which Next gave just now: until then
// an estimate counts.
func (n *Node) Encoded(now time.Time, sequence uint64, bytes int) {
	f := n.sent.find(sequence)
	if f == nil {
		return
	}
	if f.payload > 0 {
		n.learn(f.payload, bytes)
	}
	n.rate.sent(now, bytes-f.bytes-messageBytes)
	if !f.passed {
		n.inFlight += bytes - f.bytes
		f.bytes = bytes
		n.queued(f)
	}
}

// queued notes behind how much a message goes.
func (n *Node) queued(f *flight) {
	f.queued, f.filled = n.inFlight, 2*n.inFlight >= n.window.bytes
}

// SetRate bounds the bytes that are sent in a second, in the long run; 0 is no bound, as
// it is before the first SetRate. An object goes as a whole, and what follows waits for it;
// what was sent by another rate is not waited for.
func (n *Node) SetRate(bytesPerSecond int64) {
	if bytesPerSecond != n.rate.bytesPerSecond {
		n.rate = rate{bytesPerSecond: bytesPerSecond}
	}
}

// Wake is when Next has something to send that it has not now, because of a delay or of
// the rate; false if it is for nothing of these.
func (n *Node) Wake() (time.Time, bool) {
	at := time.Time{}
	if e := n.queue.first(); e != nil && n.windowOpen(n.estimate(e, e.decide(n.config.MaxObjectBytes))) {
		at = n.rate.next()
	}
	for _, e := range n.delayed {
		if retryAt := e.known().retryAt; at.IsZero() || retryAt.Before(at) {
			at = retryAt
		}
	}
	return at, !at.IsZero()
}

func (n *Node) wakeDelayed(now time.Time) {
	if len(n.delayed) == 0 {
		return
	}
	for _, key := range slices.SortedFunc(maps.Keys(n.delayed), object.Key.Compare) {
		if e := n.delayed[key]; !e.known().retryAt.After(now) {
			delete(n.delayed, key)
			n.reconsider(now, e)
		}
	}
}
