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
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// frameBytes is the size at which a frame is full. One more message of any kind
	// still fits into protocol.MaxAgentFrameBytes.
	frameBytes = 200 << 10
	// resultsEvery is the least time between two Applied: what happens within it
	// travels together.
	resultsEvery = 20 * time.Millisecond
	// maxNacks bounds the refusals that wait to be written.
	maxNacks = protocol.MaxFrameMessages
	// maxResults bounds the results that wait likewise: as many objects as a node can
	// hold, and as many that it held before.
	maxResults = 2 * protocol.MaxInventory
)

// outbox holds what one session has yet to tell the hub. Whatever piles up while a
// frame is being written travels in the next one; a newer result of an object
// replaces the older one, and one that was expected is told by its sequence alone. It
// may be used concurrently.
type outbox struct {
	// wake has a value when next may have something new.
	wake chan struct{}

	mu          sync.Mutex
	nacks       []*pb.Nack
	ack         uint64
	acked       uint64
	inventory   [][]byte
	expected    map[object.Key]expectation
	results     map[object.Key]*pb.ApplyResult
	done        map[object.Key]uint64 // in the place of results
	resultsOpen bool
	resultsAt   time.Time
	finished    error
}

func newOutbox() *outbox {
	return &outbox{
		wake:     make(chan struct{}, 1),
		expected: map[object.Key]expectation{},
		results:  map[object.Key]*pb.ApplyResult{},
		done:     map[object.Key]uint64{},
	}
}

// acknowledge tells that every message up to sequence is persisted, or refused by one
// of nacks or of those given before. It fails when the hub does not take the answers.
func (o *outbox) acknowledge(sequence uint64, nacks []*pb.Nack) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.nacks)+len(nacks) > maxNacks || o.news() > maxResults {
		return errors.New("the hub goes on sending without reading the answers")
	}
	o.nacks = append(o.nacks, nacks...)
	o.ack = sequence
	o.ring()
	return nil
}

// expect has a result told in short, once it is reported. It comes after the message has
// been acknowledged; another message about the same key replaces it.
func (o *outbox) expect(key object.Key, e expectation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expected[key] = e
}

// report tells what became of objects. Until openResults it is only kept.
func (o *outbox) report(results ...*pb.ApplyResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, result := range results {
		key := protocol.KeyFromPB(result.GetKey())
		if e, ok := o.expected[key]; ok && e.fulfilledBy(result) {
			delete(o.expected, key)
			delete(o.results, key)
			o.done[key] = e.sequence
		} else {
			delete(o.done, key)
			o.results[key] = result
		}
	}
	o.ring()
}

// news is how many objects there is something to tell about. The caller holds o.mu.
func (o *outbox) news() int { return len(o.results) + len(o.done) }

// forgetResults drops the results given so far: an inventory that is taken from now
// on holds them.
func (o *outbox) forgetResults() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.results)
	clear(o.done)
}

// openResults lets results go out, after the frames of an inventory if there is one.
func (o *outbox) openResults(inventory [][]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inventory = append(o.inventory, inventory...)
	o.resultsOpen = true
	o.ring()
}

// finish makes next return why once everything else is out.
func (o *outbox) finish(why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = why
	o.resultsAt = time.Time{}
	o.ring()
}

func (o *outbox) ring() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// next returns the next frame to write. Without one, wait is when to ask again at
// the latest (0: not before wake). The error is that of finish.
func (o *outbox) next(now time.Time) (frame []byte, wait time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if messages := o.answers(); len(messages) > 0 {
		// With a frame for them anyway, results need not wait for one of their own.
		if len(messages) == 1 && len(o.inventory) == 0 && o.resultsOpen && o.news() > 0 {
			messages = append(messages, o.applied(now))
		}
		frame, err = protocol.EncodeAgent(messages...)
		return frame, 0, err
	}
	if len(o.inventory) > 0 {
		frame, o.inventory = o.inventory[0], o.inventory[1:]
		return frame, 0, nil
	}
	if !o.resultsOpen || o.news() == 0 {
		return nil, 0, o.finished
	}
	if wait = o.resultsAt.Sub(now); wait > 0 {
		return nil, wait, nil
	}
	frame, err = protocol.EncodeAgent(o.applied(now))
	return frame, 0, err
}

// answers takes as many nacks as fit, and the ack once they are all out: an ack
// counts everything as persisted that was not refused before it.
func (o *outbox) answers() []*pb.AgentMessage {
	var messages []*pb.AgentMessage
	size := 0
	for len(o.nacks) > 0 && size < frameBytes && len(messages) < protocol.MaxFrameMessages-1 {
		nack := o.nacks[0]
		o.nacks = o.nacks[1:]
		size += proto.Size(nack)
		messages = append(messages, &pb.AgentMessage{Body: &pb.AgentMessage_Nack{Nack: nack}})
	}
	if len(o.nacks) == 0 && o.ack > o.acked {
		o.acked = o.ack
		messages = append(messages, &pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Cumulative: o.ack}}})
	}
	return messages
}

// applied takes as much news as fits.
func (o *outbox) applied(now time.Time) *pb.AgentMessage {
	if o.finished == nil {
		o.resultsAt = now.Add(resultsEvery)
	}
	applied := &pb.Applied{}
	size := 0
	for key, result := range o.results {
		if size >= frameBytes || len(applied.Results) == protocol.MaxEntries {
			break
		}
		size += proto.Size(result)
		applied.Results = append(applied.Results, result)
		delete(o.results, key)
	}
	if len(o.results) == 0 {
		applied.Done = o.takeDone(protocol.MaxEntries - len(applied.Results))
	}
	return &pb.AgentMessage{Body: &pb.AgentMessage_Applied{Applied: applied}}
}

func (o *outbox) takeDone(most int) []*pb.SequenceRange {
	all := make(map[uint64]object.Key, len(o.done))
	for key, sequence := range o.done {
		all[sequence] = key
	}
	taken, rest := ranges(slices.Collect(maps.Keys(all)), most)
	clear(o.done)
	for _, sequence := range rest {
		o.done[all[sequence]] = sequence
	}
	return taken
}
