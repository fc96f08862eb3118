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
	// sent are the messages that are not answered. Those up to passedTo do not count for
	// the window, which holds underWay messages of inFlight bytes.
	sent     flights
	passedTo uint64
	underWay int
	inFlight int
	window   window
	rate     rate
	// saved is the part of the payload that a difference is expected to save.
	saved    float64
	sequence uint64
	// nacks are those of the node so far, outdated how many messages are under way that
	// something has to follow, since they are no longer what is wanted.
	nacks    uint64
	outdated int
	// undone are the messages that are persisted, and not applied.
	undone flights
	// delayed entries wait for their retryAt, waiting ones for the manager to catch up.
	delayed map[object.Key]*entry
	waiting map[object.Key]*entry
	awaited []Wait
	// bulk entries are to be removed by changes in bulk.
	bulk       map[object.Key]*entry
	bookmarked bool
	texts      texts
	clock      clock
}

// entry is what is known of one key. There is one for each object of each node.
type entry struct {
	key  object.Key
	held *Held
	want desired.Want
	// flight is the message under way, undone the one that is persisted and not applied.
	flight, undone *flight
	// place is where the entry stands in a lane of the queue; nil if it does not.
	place *list.Element
	// trouble is nil as long as there was none.
	trouble *trouble
	// When the last message was sent, persisted and applied: see clock.
	sentAt, persistedAt, appliedAt uint32
	lane                           uint8
	removal                        removal
	// inBulk: what is wanted was last changed in bulk.
	inBulk bool
	// full: the node did not hold the base of a difference.
	full bool
}

// trouble is what went wrong with an object, and is not the rule.
type trouble struct {
	failure *Failure
	// refused is what the node has refused for good.
	refused  object.Holding
	retryAt  time.Time
	attempts int
	// awaits is the held version for which the entry has waited last.
	awaits string
}

var noTrouble trouble

// known is the trouble, to be read.
func (e *entry) known() *trouble {
	if e.trouble == nil {
		return &noTrouble
	}
	return e.trouble
}

// troubles is the trouble, to be changed.
func (e *entry) troubles() *trouble {
	if e.trouble == nil {
		e.trouble = &trouble{}
	}
	return e.trouble
}

// removal is where an unwanted object stands with the mass-delete guard.
type removal uint8

const (
	unguarded removal = iota
	heldBack
	// approved by its code.
	approved
)

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
		window:  newWindow(config.WindowBytes),
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
		if e.want = change.Want; e.want.Object != before.Object {
			e.inBulk = change.Bulk
		}
		if refused := e.known().refused; refused.UID != "" && !e.wants(refused) {
			e.trouble.refused, e.trouble.failure = object.Holding{}, nil
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
		n.review(e.flight)
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
		e.troubles().refused = e.want.Holding()
		n.fail(now, e, FailedTooLarge, fmt.Sprintf("the object is %d bytes; the node accepts %d",
			len(e.want.Object.Payload), n.config.MaxObjectBytes))
	case wait:
		if n.waiting[e.key] == nil {
			n.waiting[e.key], e.troubles().awaits = e, e.held.Version
			n.awaited = append(n.awaited, Wait{Key: e.key, Version: e.held.Version})
		}
	default:
		n.schedule(now, e, act)
	}
}

// review finds out whether something has to follow a message that is under way.
func (n *Node) review(f *flight) {
	n.forgive(f)
	if f.outdated = f.afterwards().decide(n.config.MaxObjectBytes) != nothing; f.outdated {
		n.outdated++
	}
}

// forgive has a message that has landed, or is reviewed, be no longer outdated.
func (n *Node) forgive(f *flight) {
	if f.outdated {
		f.outdated = false
		n.outdated--
	}
}

func (n *Node) schedule(now time.Time, e *entry, act action) {
	n.bookmarked = false
	if e.known().retryAt.After(now) {
		n.delayed[e.key] = e
		return
	}
	delete(n.delayed, e.key)
	n.queue.push(e, e.laneFor(act))
}

// settle forgets what is neither held nor wanted, and failures that are over. What is
// forgotten may be frozen: whoever wants it later names it again.
func (n *Node) settle(e *entry) {
	if t := e.trouble; t != nil && t.refused.UID == "" {
		t.failure = nil
	}
	if e.held == nil && e.want.Object == nil {
		delete(n.entries, e.key)
		delete(n.bulk, e.key)
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
