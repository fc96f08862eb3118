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
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// frameMessages and frameBytes bound the messages that share a frame; one object
	// may be larger than frameBytes.
	frameMessages = 256
	frameBytes    = 64 << 10
)

// session is one connection of one node. It runs in two goroutines: the one that
// serves the request reads, the other writes.
type session struct {
	hub          *Hub
	name         string
	id           string
	connected    time.Time
	address      string
	agentVersion string
	bootID       string
	wire         *wire
	// wake holds a token when the writer has something to look at.
	wake chan struct{}
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
		keys     map[object.Key]bool
		recheck  bool
		draining bool
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
	s.mu.Lock()
	s.node = delivery.New(config, held)
	s.mu.Unlock()
	for key := range held {
		keys = append(keys, key)
	}
	s.Changed(keys, true)
	s.Recheck()
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
	s.signal()
}

// Recheck implements desired.Sink.
func (s *session) Recheck() {
	s.changed.Lock()
	s.changed.recheck = true
	s.changed.Unlock()
	s.signal()
}

// drain asks the node to go elsewhere.
func (s *session) drain() {
	s.changed.Lock()
	s.changed.draining = true
	s.changed.Unlock()
	s.signal()
}

func (s *session) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func newSession(h *Hub, name, address string, w *wire) *session {
	return &session{
		hub: h, name: name, address: address, wire: w,
		id: uuid.NewString(), connected: time.Now(),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// end has the session end soon; the node is told the reason. Only the first call
// counts. The cause in ending may be read by whoever has called end.
func (s *session) end(code int, reason string) {
	s.ending.once.Do(func() {
		s.ending.code, s.ending.reason = code, reason
		close(s.done)
		s.wire.socket.Expire(farewellTimeout)
	})
}

// fail has the session end because of err. The node is told only what concerns it.
func (s *session) fail(err error) {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		refusals.WithLabelValues("admission").Inc()
		s.end(protocol.CloseRefused, refusal.Message)
	case errors.Is(err, delivery.ErrProtocol), errors.Is(err, protocol.ErrMalformed):
		refusals.WithLabelValues("protocol").Inc()
		s.end(protocol.CloseProtocol, err.Error())
	default:
		s.end(closeNormal, "")
	}
}

// reason is why the session has failed: its own cause, or the error that came of it.
func (s *session) reason(err error) string {
	if s.ending.code != closeNormal {
		return s.ending.reason
	}
	return err.Error()
}

// run runs the session until it ends, and returns why.
func (s *session) run() error {
	s.wire.socket.SetPatience(s.hub.options.Heartbeat * 5 / 2)
	written := make(chan error, 1)
	go func() { written <- s.writeLoop() }()
	readErr := s.readLoop()
	s.fail(readErr)
	if writeErr := <-written; writeErr != nil {
		return writeErr
	}
	return readErr
}

// closeNormal ends a session that the node has left.
const closeNormal = 1000

// state is false until the session has begun.
func (s *session) state() (NodeState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil {
		return NodeState{}, false
	}
	return NodeState{
		SessionID: s.id, ConnectedTime: s.connected, RemoteAddress: s.address,
		AgentVersion: s.agentVersion, BootID: s.bootID, Summary: s.node.Summary(),
	}, true
}

// progress is false until the session has begun. What has not been looked up since
// the index told of it is in progress.
func (s *session) progress(keys []object.Key) (delivery.Progress, []delivery.Failure, bool) {
	worst := delivery.InSync
	if s.unabsorbed(keys) {
		worst = delivery.InProgress
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil {
		return delivery.InProgress, nil, false
	}
	var failures []delivery.Failure
	for _, key := range keys {
		progress, failure := s.node.Progress(key)
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

func (s *session) readLoop() error {
	for {
		messages, err := s.wire.read()
		if err != nil {
			return err
		}
		for _, message := range messages {
			keys, err := s.receive(message)
			if err != nil {
				return err
			}
			if len(keys) > 0 {
				s.hub.options.Observer.OnProgress(s.name, keys)
			}
		}
		s.signal()
	}
}

// receive takes an answer of the node over and returns the keys that it concerns.
func (s *session) receive(message *pb.AgentMessage) ([]object.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch body := message.GetBody().(type) {
	case *pb.AgentMessage_Ack:
		return s.receiveAck(now, body.Ack)
	case *pb.AgentMessage_Nack:
		return s.node.Nack(now, nackFromPB(body.Nack))
	case *pb.AgentMessage_Applied:
		return s.receiveApplied(now, body.Applied)
	default:
		return nil, fmt.Errorf("%w: a %T in the middle of a session", delivery.ErrProtocol, message.GetBody())
	}
}

func (s *session) receiveAck(now time.Time, ack *pb.Ack) ([]object.Key, error) {
	keys, err := s.node.Ack(now, ack.GetCumulative())
	for _, r := range ack.GetRanges() {
		if err != nil {
			break
		}
		var more []object.Key
		more, err = s.node.AckRange(now, r.GetFirst(), r.GetLast())
		keys = append(keys, more...)
	}
	persisted.Add(float64(len(keys)))
	return keys, err
}

func (s *session) receiveApplied(now time.Time, applied *pb.Applied) ([]object.Key, error) {
	var keys []object.Key
	for _, result := range applied.GetResults() {
		state, removed, err := stateFromPB(result.GetState())
		if err != nil {
			return nil, err
		}
		key := protocol.KeyFromPB(result.GetKey())
		if s.node.Applied(now, delivery.Result{
			Key: key, UID: result.GetUid(), Digest: object.Digest(result.GetDigest()),
			State: state, Removed: removed, Message: result.GetMessage(),
		}) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func nackFromPB(nack *pb.Nack) delivery.Nack {
	nacks.WithLabelValues(nack.GetCode().String()).Inc()
	converted := delivery.Nack{
		Sequence:   nack.GetSequence(),
		Message:    nack.GetMessage(),
		RetryAfter: time.Duration(nack.GetRetryAfterMs()) * time.Millisecond,
	}
	switch nack.GetCode() {
	case pb.NackCode_NACK_CODE_REJECT:
		converted.Code = delivery.NackReject
	case pb.NackCode_NACK_CODE_STALE:
		converted.Code = delivery.NackStale
		converted.Held = object.Holding{
			UID: nack.GetHeldUid(), Version: nack.GetHeldVersion(), Digest: object.Digest(nack.GetHeldDigest()),
		}
	}
	return converted
}

var _ desired.Sink = (*session)(nil)
