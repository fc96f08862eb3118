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
	bytes := 0
	for mostBytes = min(mostBytes, n.window.frame()); len(messages) < most; {
		e := n.queue.first()
		if e == nil {
			break
		}
		act := e.decide(n.config.MaxObjectBytes)
		size := e.bytes(act)
		if len(messages) > 0 && bytes+size > mostBytes || !n.windowOpen(size) || n.rate.next().After(now) {
			return messages
		}
		n.queue.remove(e)
		messages = append(messages, n.send(now, e, act))
		bytes += size
	}
	if len(messages) == 0 && n.idle() && !n.bookmarked {
		n.bookmarked = true
		return []Message{Bookmark{}}
	}
	return messages
}

// windowOpen reports whether one more message of size bytes may be under way. Beside a
// single one there is always room for a small one: the answer to it shows that the link is
// free, even if the large one is never answered.
func (n *Node) windowOpen(size int) bool {
	switch {
	case n.underWay == 0:
		return true
	case n.underWay >= n.config.WindowMessages:
		return false
	case n.underWay == 1 && n.inFlight > n.window.bytes:
		return size <= probeBytes
	default:
		return n.inFlight+size <= n.window.bytes
	}
}

func (n *Node) idle() bool {
	return n.queue.first() == nil && n.sent.len() == 0 && len(n.delayed) == 0 && len(n.waiting) == 0
}

func (n *Node) send(now time.Time, e *entry, act action) Message {
	n.sequence++
	size := e.bytes(act)
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
	return Put{
		Sequence: n.sequence, Object: e.want.Object, Base: e.base(), Retain: e.want.Retain, Force: act == force,
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

func (e *entry) bytes(act action) int {
	if act == remove || act == release {
		return 0
	}
	return len(e.want.Object.Payload)
}

// Encoded takes over how many bytes a message has, which Next gave just now: until then
// those of its payload count.
func (n *Node) Encoded(now time.Time, sequence uint64, bytes int) {
	f := n.sent.find(sequence)
	if f == nil {
		return
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

// SetRate bounds the bytes that are sent in a second, in the long run; 0 leaves it at the
// bound of the Config. An object goes as a whole, and what follows waits for it.
func (n *Node) SetRate(bytesPerSecond int64) {
	n.rate.bytesPerSecond = cmp.Or(bytesPerSecond, n.config.BytesPerSecond)
}

// Wake is when Next has something to send that it has not now, because of a delay or of
// the rate; false if it is for nothing of these.
func (n *Node) Wake() (time.Time, bool) {
	at := time.Time{}
	if e := n.queue.first(); e != nil && n.windowOpen(e.bytes(e.decide(n.config.MaxObjectBytes))) {
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
