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
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// read takes what the node says, from its Hello to the end. Its goroutine is there as long as
// the session is, so that it leaves to others what needs much of a stack: a stack that has
// once grown hardly ever shrinks while something waits deep in TLS.
func (s *session) read() error {
	s.hub.expectHello(s)
	defer s.hub.leave(s)
	if err := s.apart(s.handshake); err != nil {
		return err
	}
	for {
		frame, err := s.wire.readFrame()
		if err != nil {
			return err
		}
		if err := s.apart(func() error { return s.receiveFrame(frame) }); err != nil {
			return err
		}
	}
}

// apart runs f on a stack of its own.
func (s *session) apart(f func() error) error {
	result := make(chan error, 1)
	go func() { result <- s.guard(f) }()
	return <-result
}

// handshake opens the session.
func (s *session) handshake() error {
	_ = s.wire.socket.SetReadDeadline(time.Now().Add(handshakeTimeout))
	hello, err := s.wire.readHello()
	if err != nil {
		return err
	}
	s.introduce(hello)
	s.wire.socket.SetPatience(inventoryTimeout)
	if err := s.awaitView(hello.GetView()); err != nil {
		return err
	}
	keys, entered := s.hub.enter(s)
	if !entered {
		return errEnded
	}
	if err := s.open(hello, keys); err != nil {
		return err
	}
	s.log().Info("Node connected", "agentVersion", s.agentVersion)
	s.hub.options.Observer.OnNodeEvent(s.name)
	s.wire.socket.SetPatience(s.hub.options.Heartbeat * 5 / 2)
	return nil
}

// introduce takes over what the node says of itself.
func (s *session) introduce(hello *pb.Hello) {
	s.agentVersion = hello.GetAgentVersion()
	s.machine = machine{bootID: hello.GetBootId(), storeEpoch: hello.GetStoreEpoch()}
	s.labels, s.info = hello.GetLabels(), hello.GetHubInfoDigest()
	s.encodings.compressed = slices.Contains(hello.GetEncodings(), pb.Encoding_ENCODING_ZSTD)
	s.encodings.difference = slices.Contains(hello.GetEncodings(), pb.Encoding_ENCODING_ZSTD_DELTA)
}

// receiveFrame takes the answers in a frame over.
func (s *session) receiveFrame(frame *bytes.Buffer) error {
	messages, err := decode(frame)
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
	s.writer.ask()
	return nil
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
		key := protocol.KeyFromPB(result.GetKey())
		if s.node.Applied(now, delivery.Result{
			Key: key, UID: result.GetUid(), Digest: object.Digest(result.GetDigest()),
			State: stateFromPB(result.GetState()), Removed: result.GetState() == pb.ApplyState_APPLY_STATE_REMOVED,
			Message: result.GetMessage(),
		}) {
			results.WithLabelValues(labelValue(result.GetState().String(), "APPLY_STATE_")).Inc()
			keys = append(keys, key)
		}
	}
	for _, r := range applied.GetDone() {
		done, err := s.node.Done(now, r.GetFirst(), r.GetLast())
		if err != nil {
			return keys, err
		}
		results.WithLabelValues("done").Add(float64(len(done)))
		keys = append(keys, done...)
	}
	return keys, nil
}

func nackFromPB(nack *pb.Nack) delivery.Nack {
	nacks.WithLabelValues(labelValue(nack.GetCode().String(), "NACK_CODE_")).Inc()
	converted := delivery.Nack{
		Sequence:   nack.GetSequence(),
		Message:    nack.GetMessage(),
		RetryAfter: time.Duration(nack.GetRetryAfterMs()) * time.Millisecond,
	}
	switch nack.GetCode() {
	case pb.NackCode_NACK_CODE_REJECT:
		converted.Code = delivery.NackReject
	case pb.NackCode_NACK_CODE_NO_BASE:
		converted.Code = delivery.NackNoBase
	case pb.NackCode_NACK_CODE_STALE:
		converted.Code = delivery.NackStale
		converted.Held = object.Holding{
			UID: nack.GetHeldUid(), Version: nack.GetHeldVersion(), Digest: object.Digest(nack.GetHeldDigest()),
		}
	}
	return converted
}

// labelValue turns the name of a protobuf enum value into one of a metric's label.
func labelValue(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }
