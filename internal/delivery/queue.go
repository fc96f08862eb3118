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

// lanes: removals, last kinds first, then objects, first kinds first. Removals are
// small, and free names and space.
const lanes = 2 * int(object.Ranks)

func lane(act action, key object.Key) int {
	rank := int(object.RankOf(key.GroupKind()))
	if act == remove || act == release {
		return int(object.Ranks) - 1 - rank
	}
	return int(object.Ranks) + rank
}

// queue is the schedule of what is to be sent: in each lane first come, first
// served, with one place for an entry however often it changes.
type queue struct {
	lanes [lanes]list.List
}

// push puts an entry at the end of a lane, unless it has a place there already.
func (q *queue) push(e *entry, lane int) {
	if e.place != nil && e.lane == lane {
		return
	}
	q.remove(e)
	e.place, e.lane = q.lanes[lane].PushBack(e), lane
}

// remove takes an entry out, if it is in.
func (q *queue) remove(e *entry) {
	if e.place != nil {
		q.lanes[e.lane].Remove(e.place)
		e.place = nil
	}
}

// first is the entry whose turn it is; nil if there is none.
func (q *queue) first() *entry {
	for i := range q.lanes {
		if front := q.lanes[i].Front(); front != nil {
			return front.Value.(*entry)
		}
	}
	return nil
}
