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

package hub

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// frameMessages and frameBytes bound the messages that share a frame; one object
	// may be larger than frameBytes.
	frameMessages = 256
	frameBytes    = 64 << 10
)

// session is one connection of one node. A goroutine reads, and another writes, which
// exists only while there is something to write.
type session struct {
	hub          *Hub
	name         string
	peer         pki.Peer
	id           string
	connected    time.Time
	address      string
	agentVersion string
	machine      machine
	labels       map[string]string
	// encodings are those that the node understands beside JSON.
	encodings struct{ compressed, difference bool }
	// info is the digest of what the node knows of the hub; empty if it knows nothing.
	// Only the reader uses it before the session is opened, and only the writer after.
	info []byte
	// view is how much the index knew when it was looked at last, viewed what the node was
	// told of that. Only the writer uses them.
	view, viewed []byte
	wire         *wire
	// writer runs write.
	writer worker
	// Only the writer uses these: why it has failed, if it has; whether the node has been
	// asked to go elsewhere; and what wakes the writer when something is to be tried again.
	writeErr error
	drained  bool
	retry    *time.Timer
	// place is what the session gives back once it is no longer pending.
	place *conn
	// opened is closed when the delivery has been made.
	opened chan struct{}
	// done is closed when the session is to end, for the cause in ending.
	done   chan struct{}
	ending struct {
		once   sync.Once
		code   int
		reason string
	}

	// What the index has told, and the writer has not looked up yet.
	changed struct {
		sync.Mutex
		keys    map[object.Key]bool
		recheck bool
		// rechecking: the writer is looking up what recheck has asked for.
		rechecking bool
		draining   bool
		// announce: what the node knows of the hub may be out of date.
		announce bool
		// absorbing are the keys that the writer looks up at the moment.
		absorbing map[object.Key]bool
	}

	mu   sync.Mutex
	node *delivery.Node
}

// begin makes the delivery of the session. Whatever the node holds, or should hold,
// is looked up.
func (s *session) begin(hello *pb.Hello, keys []object.Key, held inventory) {
	config := s.hub.options.Delivery
	if declared := int(hello.GetMaxObjectBytes()); declared > 0 {
		config.MaxObjectBytes = min(config.MaxObjectBytes, declared)
	}
	config.Persisted = func(took time.Duration) { persistDuration.Observe(took.Seconds()) }
	config.Applied = func(took time.Duration) { applyDuration.Observe(took.Seconds()) }
	node := delivery.New(config, held)
	s.mu.Lock()
	s.node = node
	s.mu.Unlock()
	for key := range held {
		keys = append(keys, key)
	}
	s.Changed(keys, true)
	s.Recheck()
	s.announce()
	close(s.opened)
	s.writer.ask()
}

// Changed implements desired.Sink.
func (s *session) Changed(keys []object.Key, bulk bool) {
	s.changed.Lock()
	if s.changed.keys == nil {
		s.changed.keys = make(map[object.Key]bool, len(keys))
	}
	for _, key := range keys {
		s.changed.keys[key] = s.changed.keys[key] || bulk
	}
	s.changed.Unlock()
	s.writer.ask()
}

// Recheck implements desired.Sink.
func (s *session) Recheck() {
	s.changed.Lock()
	s.changed.recheck = true
	s.changed.Unlock()
	s.writer.ask()
}

// drain asks the node to go elsewhere.
func (s *session) drain() {
	s.changed.Lock()
	s.changed.draining = true
	s.changed.Unlock()
	s.writer.ask()
}

// announce has the node told of the hub, if it does not know what there is to know.
func (s *session) announce() {
	s.changed.Lock()
	s.changed.announce = true
	s.changed.Unlock()
	s.writer.ask()
}

func newSession(h *Hub, peer pki.Peer, address string, w *wire) *session {
	return &session{
		hub: h, name: peer.Name, peer: peer, address: address, wire: w,
		id: uuid.NewString(), connected: time.Now(),
		opened: make(chan struct{}), done: make(chan struct{}), writer: newWorker(),
	}
}

// log is made when it is needed: one that is kept takes more than a kilobyte.
func (s *session) log() logr.Logger {
	return s.hub.options.Log.WithValues("node", s.name, "address", s.address, "session", s.id)
}

func (s *session) begun() bool { return closed(s.opened) }

func (s *session) ended() bool { return closed(s.done) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// end has the session end soon, counted under why unless that is empty; the node is told
// the reason. Only the first call counts. The cause in ending may be read by whoever has
// called end.
func (s *session) end(code int, reason string, why cause) {
	s.ending.once.Do(func() {
		if why != "" {
			refused(why)
		}
		s.ending.code, s.ending.reason = code, reason
		close(s.done)
		s.wire.socket.Expire(farewellTimeout)
		s.writer.ask()
	})
}

// fail has the session end because of err.
func (s *session) fail(err error) { s.end(farewellOf(err)) }

// run runs the session until it ends, and returns why.
func (s *session) run() (reason string) {
	s.writer.start(s.write)
	err := s.guard(s.read)
	s.fail(err)
	<-s.writer.over
	if s.writeErr != nil {
		err = s.writeErr
	}
	s.wire.close()
	if s.ending.code != closeNormal {
		return s.ending.reason
	}
	return err.Error()
}

// guard turns a panic of a half of the session into an error: whatever a node has
// found to make the hub fail is its own session's end, and nobody else's.
func (s *session) guard(half func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errPanicked
			s.log().Error(fmt.Errorf("panic: %v", p), "Ends a session that has panicked", "stack", string(debug.Stack()))
		}
	}()
	return half()
}

// closeNormal ends a session that the node has left.
const closeNormal = 1000

// state is false until the session has begun. What has not been looked up since the
// index told of it is pending.
func (s *session) state() (NodeState, bool) {
	unabsorbed := s.unabsorbedKeys()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil {
		return NodeState{}, false
	}
	summary := s.node.Summary()
	for _, key := range unabsorbed {
		if progress, _ := s.node.Progress(key); progress == delivery.InSync {
			summary.Pending++
		}
	}
	return NodeState{
		Peer:      s.peer.Node,
		SessionID: s.id, ConnectedTime: s.connected, RemoteAddress: s.address,
		AgentVersion: s.agentVersion, BootID: s.machine.bootID, Labels: s.labels, Summary: summary,
	}, true
}

// progress is false until the session has begun. What has not been looked up since
// the index told of it is in progress.
func (s *session) progress(keys []object.Key) (delivery.Progress, []delivery.Failure, bool) {
	worst := delivery.InSync
	if s.unabsorbed(keys) {
		worst = delivery.InProgress
	}
	rechecks := s.rechecks()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil {
		return delivery.InProgress, nil, false
	}
	var failures []delivery.Failure
	for _, key := range keys {
		progress, failure := s.node.Progress(key)
		if progress == delivery.Waiting && rechecks {
			progress = delivery.InProgress // its turn may have come
		}
		worst = max(worst, progress)
		if failure != nil {
			failures = append(failures, *failure)
		}
	}
	return worst, failures, true
}

func (s *session) unabsorbed(keys []object.Key) bool {
	s.changed.Lock()
	defer s.changed.Unlock()
	for _, key := range keys {
		if _, ok := s.changed.keys[key]; ok {
			return true
		}
		if _, ok := s.changed.absorbing[key]; ok {
			return true
		}
	}
	return false
}

// rechecks reports whether what is frozen is still to be looked up again.
func (s *session) rechecks() bool {
	s.changed.Lock()
	defer s.changed.Unlock()
	return s.changed.recheck || s.changed.rechecking
}

func (s *session) unabsorbedKeys() []object.Key {
	s.changed.Lock()
	defer s.changed.Unlock()
	keys := make(map[object.Key]bool, len(s.changed.keys)+len(s.changed.absorbing))
	maps.Copy(keys, s.changed.keys)
	maps.Copy(keys, s.changed.absorbing)
	return slices.Collect(maps.Keys(keys))
}

var _ desired.Sink = (*session)(nil)
