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

import "github.com/edgesync/edgesync/internal/object"

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
	lanes [lanes][]*entry
}

func (q *queue) push(e *entry, lane int) {
	if e.queued {
		return
	}
	e.queued = true
	q.lanes[lane] = append(q.lanes[lane], e)
}

func (q *queue) first() int {
	for i := range q.lanes {
		if len(q.lanes[i]) > 0 {
			return i
		}
	}
	return -1
}

func (q *queue) peek() *entry {
	i := q.first()
	if i < 0 {
		return nil
	}
	return q.lanes[i][0]
}

func (q *queue) pop() {
	i := q.first()
	q.lanes[i][0].queued = false
	q.lanes[i][0] = nil
	if q.lanes[i] = q.lanes[i][1:]; len(q.lanes[i]) == 0 {
		q.lanes[i] = nil
	}
}
