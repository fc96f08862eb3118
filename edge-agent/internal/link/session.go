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

package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// maxBuffered bounds what has been read and not yet committed, in bytes.
	maxBuffered = 8 << 20
	// messageOverhead is about what a decoded message takes beyond its payload.
	messageOverhead = 512
	// maxFramesBuffered bounds the frames that wait while a commit is under way.
	maxFramesBuffered = 256

	defaultHeartbeat = 20 * time.Second
	maxHeartbeat     = 300 * time.Second
	// maxHubInfos bounds how often the hub can have the agent take over a HubInfo, which
	// costs a write to the disk, in one session.
	maxHubInfos = 64
	// hubInfoRetry is how often taking over a HubInfo is tried again, which a full disk
	// or a clock that is wrong may have prevented. The hub says it once in a session.
	hubInfoRetry = 10 * time.Minute
)

// session is one connection from Hello to its end. One goroutine reads, one commits
// and one writes, so that reading and writing go on during the fsync of a commit.
type session struct {
	link *Link
	hub  string
	wire *wire
	out  *outbox

	// Between the reader and the committer.
	frames chan received
	budget *semaphore.Weighted
	// readEnded is closed when the reader returns.
	readEnded chan struct{}

	// Owned by the committer.
	phase    phase
	sequence uint64
	nacks    uint64 // that were sent
	epoch    string
	infos    int
	missed   *pb.HubInfo // could not be taken over; nil if there is none
	group    *errgroup.Group
	alive    context.Context
}

// received is the messages of some frames and their share of the budget.
type received struct {
	messages []*pb.HubMessage
	weight   int64
}

func newSession(link *Link, hub string, wire *wire, out *outbox) *session {
	return &session{
		link:      link,
		hub:       hub,
		wire:      wire,
		out:       out,
		frames:    make(chan received, maxFramesBuffered),
		budget:    semaphore.NewWeighted(maxBuffered),
		readEnded: make(chan struct{}),
	}
}

// run returns why the session ended. When ctx is done it says farewell: what is
// committed is acknowledged, what has been applied is reported.
func (s *session) run(ctx context.Context, hello *pb.Hello) error {
	s.group, s.alive = errgroup.WithContext(context.Background())
	closed := make(chan struct{})
	context.AfterFunc(s.alive, func() {
		defer close(closed)
		s.wire.close(context.Cause(s.alive))
	})
	farewell := context.AfterFunc(ctx, func() {
		s.wire.expire()
		s.out.finish(reasonToLeave(ctx))
	})
	s.group.Go(s.read)
	s.group.Go(s.commitFrames)
	s.group.Go(func() error { return s.write(hello) })
	err := s.group.Wait()
	farewell()
	<-closed
	return err
}

// reasonToLeave is why ctx is done.
func reasonToLeave(ctx context.Context) error {
	if why := context.Cause(ctx); errors.Is(why, errReconnect) {
		return why
	}
	return errStopped
}

func (s *session) read() error {
	defer close(s.readEnded)
	defer close(s.frames)
	for {
		data, err := s.wire.read()
		if err != nil {
			return err
		}
		messages, err := protocol.DecodeHub(data)
		if err != nil {
			return fmt.Errorf("%w: %w", errProtocol, err)
		}
		weight := min(int64(len(data)+messageOverhead*len(messages)), maxBuffered)
		if err := s.budget.Acquire(s.alive, weight); err != nil {
			return context.Cause(s.alive)
		}
		select {
		case s.frames <- received{messages, weight}:
		case <-s.alive.Done():
			return context.Cause(s.alive)
		}
	}
}

// commitFrames also takes what is left when the reader has ended: what has arrived
// need not be sent again.
func (s *session) commitFrames() error {
	retry := time.NewTicker(hubInfoRetry)
	defer retry.Stop()
	for {
		select {
		case first, ok := <-s.frames:
			if !ok {
				return nil
			}
			all := s.gather(first)
			err := s.handle(all.messages)
			s.budget.Release(all.weight)
			if err != nil {
				return err
			}
		case <-retry.C:
			if s.missed != nil {
				s.takeHubInfo(s.missed)
			}
		}
	}
}

// gather adds everything that has been read by now, for one commit.
func (s *session) gather(all received) received {
	for {
		select {
		case more, ok := <-s.frames:
			if !ok {
				return all
			}
			all.messages = append(all.messages, more.messages...)
			all.weight += more.weight
		default:
			return all
		}
	}
}

func (s *session) write(hello *pb.Hello) error {
	frame, err := protocol.EncodeAgent(&pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: hello}})
	if err != nil {
		return err
	}
	if err := s.wire.write(frame); err != nil {
		return s.preferReadError(err)
	}
	for {
		frame, wait, err := s.out.next(time.Now())
		if err != nil {
			return err
		}
		if frame == nil {
			if !s.await(wait) {
				return nil
			}
			continue
		}
		if err := s.wire.write(frame); err != nil {
			return s.preferReadError(err)
		}
	}
}

// await waits until the outbox may have something; false when the session has ended.
func (s *session) await(wait time.Duration) bool {
	var timer <-chan time.Time
	if wait > 0 {
		timer = time.After(wait)
	}
	select {
	case <-s.out.wake:
	case <-timer:
	case <-s.alive.Done():
		return false
	}
	return true
}

// preferReadError gives the reader a moment to find out why the hub has hung up: the
// reason is a better one than that of a failed write.
func (s *session) preferReadError(err error) error {
	s.wire.expire()
	select {
	case <-s.readEnded:
	case <-time.After(farewellTimeout):
	}
	return fmt.Errorf("write to the hub: %w", err)
}

func (s *session) keepAlive(period time.Duration) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.wire.ping(); err != nil {
				return s.preferReadError(err)
			}
		case <-s.alive.Done():
			return nil
		}
	}
}
