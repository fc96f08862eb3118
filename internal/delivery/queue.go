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
	"container/list"

	"github.com/edgesync/edgesync/internal/object"
)

// lanes: removals, last kinds first; small changes of what the node holds already; then
// objects, first kinds first. Removals are small, and free names and space.
const (
	urgentLane = int(object.Ranks)
	lanes      = 2*int(object.Ranks) + 1
)

// urgentBytes is the largest payload that overtakes others.
const urgentBytes = 4 << 10

func (e *entry) laneFor(act action) int {
	rank := int(object.RankOf(e.key.GroupKind()))
	switch {
	case act == remove || act == release:
		return int(object.Ranks) - 1 - rank
	case !e.inBulk && e.held != nil && len(e.want.Object.Payload) <= urgentBytes:
		return urgentLane
	default:
		return urgentLane + 1 + rank
	}
}

// queue is the schedule of what is to be sent: in each lane first come, first
// served, with one place for an entry however often it changes. An empty one takes no memory:
// a node is idle nearly all of the time.
type queue struct {
	lanes  *[lanes]list.List
	queued int
}

// push puts an entry at the end of a lane, unless it has a place there already.
func (q *queue) push(e *entry, lane int) {
	if e.place != nil && int(e.lane) == lane {
		return
	}
	q.remove(e)
	if q.lanes == nil {
		q.lanes = new([lanes]list.List)
	}
	q.queued++
	e.place, e.lane = q.lanes[lane].PushBack(e), uint8(lane)
}

// remove takes an entry out, if it is in.
func (q *queue) remove(e *entry) {
	if e.place == nil {
		return
	}
	q.lanes[e.lane].Remove(e.place)
	e.place = nil
	if q.queued--; q.queued == 0 {
		q.lanes = nil
	}
}

// first is the entry whose turn it is; nil if there is none.
func (q *queue) first() *entry {
	if q.lanes == nil {
		return nil
	}
	for i := range q.lanes {
		if front := q.lanes[i].Front(); front != nil {
			return front.Value.(*entry)
		}
	}
	return nil
}
