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
	"errors"
	"fmt"
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// handle takes over messages in their order. Puts and deletes that follow one another
// become durable together.
func (s *session) handle(messages []*pb.HubMessage) error {
	pending := s.newBatch()
	for _, message := range messages {
		if err := s.advance(message); err != nil {
			return err
		}
		if pending.full() {
			if err := s.commit(pending); err != nil {
				return err
			}
			pending = s.newBatch()
		}
		var err error
		switch body := message.GetBody().(type) {
		case *pb.HubMessage_Put:
			err = pending.put(body.Put)
		case *pb.HubMessage_Delete:
			err = pending.delete(body.Delete)
		default:
			if err = s.commit(pending); err == nil {
				pending = s.newBatch()
				err = s.control(message)
			}
		}
		if err != nil {
			return err
		}
	}
	return s.commit(pending)
}

// advance checks that message may come now. What follows the Welcome shows that the
// hub has taken the Hello in; without a NeedInventory it knows what the node holds.
func (s *session) advance(message *pb.HubMessage) error {
	next, err := s.phase.after(message)
	if err != nil {
		return err
	}
	if s.phase == greeted && next == open && message.GetNeedInventory() == nil {
		s.out.openResults(nil)
	}
	s.phase = next
	return nil
}

func (s *session) control(message *pb.HubMessage) error {
	switch body := message.GetBody().(type) {
	case *pb.HubMessage_Welcome:
		return s.welcome(body.Welcome)
	case *pb.HubMessage_NeedInventory:
		return s.sendInventory()
	case *pb.HubMessage_Bookmark:
		return s.bookmark(body.Bookmark)
	case *pb.HubMessage_Drain:
		s.out.finish(&drain{
			redirect: usable(body.Drain.GetRedirect()),
			spread:   time.Duration(body.Drain.GetDeadlineMs()) * time.Millisecond,
		})
	case *pb.HubMessage_HubInfo:
		return s.hubInfo(body.HubInfo)
	}
	return nil
}

// usable is a redirect if it is the address of a hub, and otherwise none.
func usable(redirect string) string {
	if _, err := joinapi.ParseHub(redirect); err != nil {
		return ""
	}
	return redirect
}

func (s *session) welcome(welcome *pb.Welcome) error {
	if version := welcome.GetProtocolVersion(); version != protocol.Version {
		return fmt.Errorf("%w: it chose protocol version %d, this agent speaks %d", errProtocol, version, protocol.Version)
	}
	s.epoch = welcome.GetClusterEpoch()
	if err := s.rememberFirstCluster(); err != nil {
		return err
	}
	period := heartbeat(welcome.GetHeartbeatSeconds())
	s.wire.setHeartbeat(period)
	s.group.Go(func() error { return s.keepAlive(period) })
	s.link.connected(s.hub, welcome.GetSession())
	return nil
}

// heartbeat is the period that a Welcome asks for, within bounds.
func heartbeat(seconds uint32) time.Duration {
	if seconds == 0 {
		return defaultHeartbeat
	}
	return min(time.Duration(seconds)*time.Second, maxHeartbeat)
}

func (s *session) sendInventory() error {
	s.out.forgetResults()
	frames, err := inventory(s.link.config.Store)
	if err != nil {
		return err
	}
	s.out.openResults(frames)
	return nil
}

// bookmark remembers how much the hub knew: the next one should know no less. Unless
// something was refused that the hub did not know of, it also remembers the hub's cluster:
// from now on everything held is from there.
func (s *session) bookmark(bookmark *pb.Bookmark) error {
	if view := bookmark.GetView(); len(view) > 0 {
		if err := s.link.config.Store.SetView(view); err != nil {
			return s.storeFailed(err)
		}
	}
	if bookmark.GetNacks() != s.nacks {
		return nil
	}
	if err := s.rememberCluster(); err != nil {
		return s.storeFailed(err)
	}
	s.link.completed()
	return nil
}

// hubInfo takes over what the agent does not know yet.
func (s *session) hubInfo(info *pb.HubInfo) error {
	if protocol.HubInfoDigest(info) == s.link.config.HubInfoDigest() {
		s.missed = nil
		s.link.hubInfoTaken(nil)
		return nil
	}
	if s.infos++; s.infos > maxHubInfos {
		return fmt.Errorf("%w: more than %d HubInfo in one session", errProtocol, maxHubInfos)
	}
	s.takeHubInfo(info)
	return nil
}

func (s *session) takeHubInfo(info *pb.HubInfo) {
	err := s.link.config.OnHubInfo(info, s.wire.state())
	s.missed = nil
	if err != nil {
		s.missed = info
	}
	s.link.hubInfoTaken(err)
}

// rememberFirstCluster remembers the cluster from which the store gets its first objects.
func (s *session) rememberFirstCluster() error {
	known, err := s.link.config.Store.ClusterEpoch()
	if err != nil || known != "" {
		return err
	}
	return s.storeFailed(s.rememberCluster())
}

func (s *session) rememberCluster() error {
	return s.link.config.Store.SetClusterEpoch(s.epoch)
}

// storeFailed has the session go on after a write that failed, unless the store is damaged.
func (s *session) storeFailed(err error) error {
	if err == nil || errors.Is(err, store.ErrCorrupt) {
		return err
	}
	s.link.storeFailed(err)
	return nil
}

func (s *session) newBatch() *batch {
	return &batch{
		maxObjectBytes: s.link.config.MaxObjectBytes,
		held:           s.link.config.Store.Get,
		last:           s.sequence,
		keys:           map[object.Key]bool{},
	}
}

// commit makes a batch durable, then answers it, then hands it on to be applied.
func (s *session) commit(b *batch) error {
	if b.empty() {
		return nil
	}
	outcomes, commitErr := s.link.config.Store.Commit(b.ops)
	if err := s.storeFailed(commitErr); err != nil {
		return err
	}
	s.sequence = b.last
	nacks := b.nacks(outcomes, commitErr)
	s.nacks += uint64(len(nacks))
	s.link.counts.refused(nacks)
	if err := s.out.acknowledge(b.last, nacks); err != nil {
		return err
	}
	b.expect(outcomes, s.out.expect)
	work, unchanged := b.follow(outcomes)
	if len(work) > 0 {
		s.link.config.Apply(work...)
	}
	return s.reportUnchanged(unchanged)
}

// reportUnchanged reports the state of objects that the targets will not look at: a
// delete that is not stale and without work is about something that is gone already.
func (s *session) reportUnchanged(references []reference) error {
	for _, ref := range references {
		if ref.deleted {
			s.out.report(removed(ref))
		} else if err := s.reportState(ref.key); err != nil {
			return err
		}
	}
	return nil
}

// reportState looks again after it has reported: a result of the targets that came in
// between must not be followed by an older state.
func (s *session) reportState(key object.Key) error {
	var reported store.State
	for {
		entry, exists, err := s.link.config.Store.Peek(key)
		if err != nil || !exists || entry.State == reported {
			return err
		}
		s.out.report(resultOf(&entry))
		reported = entry.State
	}
}
