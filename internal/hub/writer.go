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
	"time"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// write does what there is to do once the session is open, and bids farewell when it has
// ended: nothing is written after that.
func (s *session) write() (over bool) {
	if s.begun() && !s.ended() {
		if s.writeErr = s.guard(s.writeAll); s.writeErr != nil {
			s.fail(s.writeErr)
		}
	}
	if !s.ended() {
		return false
	}
	s.stopRetry()
	s.wire.farewell(s.ending.code, s.ending.reason)
	return true
}

// writeAll sends what the delivery gives.
func (s *session) writeAll() error {
	s.stopRetry()
	for !s.ended() {
		draining := s.absorb()
		if err := s.inform(); err != nil {
			return err
		}
		sent := false
		var err error
		switch {
		case !draining:
			sent, err = s.sendFrame()
		case !s.drained:
			s.drained = true
			err = s.wire.write(s.drainMessage())
		}
		if err != nil {
			return err
		}
		s.awaitManager()
		if !sent {
			s.retryLater(draining)
			return nil
		}
	}
	return nil
}

// inform tells the node of the hub if announce has asked for that, and it is news.
func (s *session) inform() error {
	if !s.takeAnnouncement() {
		return nil
	}
	info := s.hub.options.Info()
	digest := protocol.HubInfoDigest(info)
	if bytes.Equal(s.info, digest[:]) {
		return nil
	}
	s.info = digest[:]
	return s.wire.write(&pb.HubMessage{Body: &pb.HubMessage_HubInfo{HubInfo: info}})
}

func (s *session) takeAnnouncement() bool {
	s.changed.Lock()
	defer s.changed.Unlock()
	asked := s.changed.announce
	s.changed.announce = false
	return asked
}

// retryLater has the writer run when the delivery has something to do unasked. A draining
// session sends nothing, so no delay matters to it.
func (s *session) retryLater(draining bool) {
	if at, delayed := s.nextRetry(); delayed && !draining {
		s.retry = time.AfterFunc(time.Until(at), s.writer.ask)
	}
}

func (s *session) stopRetry() {
	if s.retry != nil {
		s.retry.Stop()
		s.retry = nil
	}
}

// nextRetry is when the delivery has something to do unasked, if ever. Like all that
// calls the delivery, it gives the lock back even if that panics.
func (s *session) nextRetry() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node.Wake()
}

// awaitManager asks to be told when the manager has caught up with what the node
// holds, for all keys that wait for that: changes and answers of the node begin it.
func (s *session) awaitManager() {
	for _, wait := range s.waits() {
		s.hub.options.Index.Await(s.name, wait.Key, wait.Version)
	}
}

func (s *session) waits() []delivery.Wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node.Waits()
}

// absorb looks up what the index has told of, and gives it to the delivery. It
// reports whether the session is draining.
func (s *session) absorb() (draining bool) {
	s.view = s.hub.options.Index.Horizon() // of all that it knew it has told already
	s.changed.Lock()
	keys, recheck, draining := s.changed.keys, s.changed.recheck, s.changed.draining
	s.changed.keys, s.changed.recheck, s.changed.absorbing, s.changed.rechecking = nil, false, keys, recheck
	s.changed.Unlock()

	index := s.hub.options.Index
	changes := make([]delivery.Change, 0, len(keys))
	for key, bulk := range keys {
		changes = append(changes, delivery.Change{Key: key, Want: index.Lookup(s.name, key), Bulk: bulk})
	}
	var settings *desired.NodeSettings
	if recheck {
		current, _ := index.Node(s.name)
		settings = &current
		for _, key := range s.unsettled() {
			changes = append(changes, delivery.Change{Key: key, Want: index.Lookup(s.name, key), Bulk: true})
		}
	}
	if len(changes) > 0 || recheck {
		s.desire(changes, settings)
	}
	s.absorbed(changes)
	return draining
}

// absorbed ends what absorb began, and only then tells of it.
func (s *session) absorbed(changes []delivery.Change) {
	s.changed.Lock()
	s.changed.absorbing, s.changed.rechecking = nil, false
	s.changed.Unlock()
	keys := make([]object.Key, 0, len(changes))
	for _, change := range changes {
		keys = append(keys, change.Key)
	}
	if len(keys) > 0 {
		s.hub.options.Observer.OnProgress(s.name, keys)
	}
}

func (s *session) unsettled() []object.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node.Unsettled()
}

// desire gives the delivery changes, and the settings of the node unless they are nil.
func (s *session) desire(changes []delivery.Change, settings *desired.NodeSettings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.node.Desire(now, changes)
	if settings != nil {
		s.node.SetRate(settings.BytesPerSecond)
		s.node.Approve(now, settings.Approval)
	}
}

// sendFrame sends one frame of what may be sent now, if there is anything.
func (s *session) sendFrame() (sent bool, err error) {
	messages := s.nextMessages()
	if len(messages) == 0 {
		return false, nil
	}
	frame := s.encode(messages)
	s.encoded(frame)
	return true, s.wire.write(frame...)
}

func (s *session) nextMessages() []delivery.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node.Next(time.Now(), frameMessages, frameBytes)
}

func (s *session) drainMessage() *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Drain{Drain: &pb.Drain{
		DeadlineMs: uint32(s.hub.drainLeft().Milliseconds()),
	}}}
}
