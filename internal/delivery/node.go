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

// Package delivery decides what to send next to one node, and what a node does with
// what it gets. It is pure: no goroutine, no clock, no socket, no Kubernetes client.
// What has happened goes in by method calls, the messages to send come out of Next.
//
// It rests on two sets, of which delivery is the difference: what the node should
// hold (package desired) and what it holds, which it declares when it connects.
// Nothing else is remembered, so a lost Node loses nothing.
package delivery

import (
	"container/list"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// ErrProtocol is wrapped by errors about answers that no correct agent gives.
var ErrProtocol = errors.New("protocol violated")

// Node is the delivery to one node over one session. It is not safe for concurrent use.
type Node struct {
	config  Config
	entries map[object.Key]*entry
	queue   queue
	flights map[uint64]*flight
	// sent are the messages under way, in their order, and some that are answered.
	sent     []uint64
	sequence uint64
	answered uint64
	inFlight int
	// delayed entries wait for their retryAt, waiting ones for the manager to catch up.
	delayed map[object.Key]*entry
	waiting map[object.Key]*entry
	awaited []Wait
	// bulk entries are to be removed by changes in bulk.
	bulk       map[object.Key]*entry
	bookmarked bool
	texts      texts
}

type entry struct {
	key    object.Key
	held   *Held
	want   desired.Want
	flight *flight
	// place is where the entry stands in a lane of the queue; nil if it does not.
	place   *list.Element
	lane    int
	removal removal
	failure *Failure
	// refused is what the node has refused for good.
	refused  object.Holding
	retryAt  time.Time
	attempts int
	// awaits is the held version for which the entry has waited last.
	awaits string
}

// removal is where an unwanted object stands with the mass-delete guard.
type removal int

const (
	unguarded removal = iota
	heldBack
	// approved by its code.
	approved
)

type flight struct {
	entry   *entry
	bytes   int
	put     object.Holding
	isPut   bool
	release bool
}

// Wait is a key for which the manager lags behind: the node holds Version, and the
// key is to be looked up again once the manager's view of the kind has come so far.
type Wait struct {
	Key     object.Key
	Version string
}

// New makes the delivery to a node that holds inventory. All keys that the node
// holds or should hold must then be given to Desire, in bulk.
func New(config Config, inventory map[object.Key]Held) *Node {
	n := &Node{
		config:  config,
		entries: make(map[object.Key]*entry, len(inventory)),
		flights: map[uint64]*flight{},
		delayed: map[object.Key]*entry{},
		waiting: map[object.Key]*entry{},
		bulk:    map[object.Key]*entry{},
	}
	for key, held := range inventory {
		n.entries[key] = &entry{key: key, held: &held, want: desired.Want{Frozen: true}}
		n.texts.keep(&held.Message)
	}
	return n
}

// Desire takes over what the node should do about some keys.
func (n *Node) Desire(now time.Time, changes []Change) {
	touched := make([]*entry, 0, len(changes))
	for _, change := range changes {
		e := n.entries[change.Key]
		if e == nil {
			e = &entry{key: change.Key}
			n.entries[change.Key] = e
		}
		before := e.want
		e.want = change.Want
		if e.refused.UID != "" && !e.wants(e.refused) {
			e.refused, e.failure = object.Holding{}, nil
		}
		delete(n.waiting, e.key)
		n.classify(e, before, change.Bulk)
		touched = append(touched, e)
	}
	n.guard(touched)
	for _, e := range touched {
		n.reconsider(now, e)
	}
}

// reconsider puts an entry where it belongs after anything about it has changed.
func (n *Node) reconsider(now time.Time, e *entry) {
	if e.flight != nil {
		return
	}
	act := e.decide(n.config.MaxObjectBytes)
	if act != wait {
		delete(n.waiting, e.key)
	}
	if !act.sends() {
		n.queue.remove(e)
		delete(n.delayed, e.key)
	}
	switch act {
	case nothing:
		n.settle(e)
	case refuse:
		e.refused = e.want.Holding()
		n.fail(now, e, FailedTooLarge, fmt.Sprintf("the object is %d bytes; the node accepts %d",
			len(e.want.Object.Payload), n.config.MaxObjectBytes))
	case wait:
		if n.waiting[e.key] == nil {
			n.waiting[e.key], e.awaits = e, e.held.Version
			n.awaited = append(n.awaited, Wait{Key: e.key, Version: e.held.Version})
		}
	default:
		n.schedule(now, e, act)
	}
}

func (n *Node) schedule(now time.Time, e *entry, act action) {
	n.bookmarked = false
	if e.retryAt.After(now) {
		n.delayed[e.key] = e
		return
	}
	delete(n.delayed, e.key)
	n.queue.push(e, lane(act, e.key))
}

// settle forgets what is neither held nor wanted, and failures that are over. What is
// forgotten may be frozen: whoever wants it later names it again.
func (n *Node) settle(e *entry) {
	if e.refused.UID == "" {
		e.failure = nil
	}
	if e.held == nil && e.want.Object == nil {
		delete(n.entries, e.key)
		delete(n.bulk, e.key)
	}
}

// Next takes the messages that may be sent now, at most most of them and, beyond
// the first, at most mostBytes of payload. It gives nothing while the window is full.
func (n *Node) Next(now time.Time, most, mostBytes int) []Message {
	n.wakeDelayed(now)
	var messages []Message
	bytes := 0
	for len(messages) < most && len(n.flights) < n.config.WindowMessages {
		e := n.queue.first()
		if e == nil {
			break
		}
		act := e.decide(n.config.MaxObjectBytes)
		size := e.bytes(act)
		if len(messages) > 0 && bytes+size > mostBytes ||
			len(n.flights) > 0 && n.inFlight+size > n.config.WindowBytes {
			return messages
		}
		n.queue.remove(e)
		messages = append(messages, n.send(e, act))
		bytes += size
	}
	if len(messages) == 0 && n.idle() && !n.bookmarked {
		n.bookmarked = true
		return []Message{Bookmark{}}
	}
	return messages
}

func (n *Node) idle() bool {
	return n.queue.first() == nil && len(n.flights) == 0 && len(n.delayed) == 0 && len(n.waiting) == 0
}

func (n *Node) send(e *entry, act action) Message {
	n.sequence++
	f := &flight{entry: e, bytes: e.bytes(act)}
	n.flights[n.sequence], e.flight = f, f
	n.inFlight += f.bytes
	if n.sent = append(n.sent, n.sequence); len(n.sent) > 2*n.config.WindowMessages {
		n.sent = slices.DeleteFunc(n.sent, func(sequence uint64) bool { return n.flights[sequence] == nil })
	}
	if act == remove || act == release {
		f.release = act == release
		return Delete{Sequence: n.sequence, Key: e.key, UID: e.held.UID, Release: f.release}
	}
	f.isPut, f.put = true, e.want.Holding()
	return Put{Sequence: n.sequence, Object: e.want.Object, Retain: e.want.Retain, Force: act == force}
}

func (e *entry) bytes(act action) int {
	if act == remove || act == release {
		return 0
	}
	return len(e.want.Object.Payload)
}

// Wake is when Next has something to send that it has not now, because of a delay;
// false if nothing is delayed.
func (n *Node) Wake() (time.Time, bool) {
	var at time.Time
	for _, e := range n.delayed {
		if at.IsZero() || e.retryAt.Before(at) {
			at = e.retryAt
		}
	}
	return at, len(n.delayed) > 0
}

func (n *Node) wakeDelayed(now time.Time) {
	if len(n.delayed) == 0 {
		return
	}
	for _, key := range slices.SortedFunc(maps.Keys(n.delayed), object.Key.Compare) {
		if e := n.delayed[key]; !e.retryAt.After(now) {
			delete(n.delayed, key)
			n.reconsider(now, e)
		}
	}
}

// Waits takes the keys that have begun to wait since the last call.
func (n *Node) Waits() []Wait {
	waits := n.awaited
	n.awaited = nil
	return waits
}

// Unsettled are the keys to be looked up when something may have been suspended,
// resumed or approved: those that are frozen, and those that are held and not wanted.
// A change of what the node should hold names the wanted ones itself, but not what
// nothing covers any longer.
func (n *Node) Unsettled() []object.Key {
	var keys []object.Key
	for key, e := range n.entries {
		if e.want.Frozen || e.want.Object == nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, object.Key.Compare)
	return keys
}

// Size is how many objects the Node remembers: those that are held, wanted or in flight.
func (n *Node) Size() int { return len(n.entries) }
