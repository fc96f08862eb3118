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

package apply

import (
	"container/list"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

// stage is the place of a piece of work in the order of work.
type stage int

// Stages: what others need is applied first, then what is no longer needed is removed
// the other way round. Another attempt at what has failed comes after all that, whatever
// its rank: a target that does not answer must not keep the others waiting for ever. What
// is applied already is checked when there is nothing else to do.
const (
	firstRemoval = stage(object.Ranks)
	stageRetry   = firstRemoval + stage(object.Ranks)
	stageCheck   = stageRetry + 1
	stages       = stageCheck + 1
)

// maxRetries and maxChecks bound those at one time: they shall leave workers to new work.
const (
	maxRetries = 8
	maxChecks  = 1
)

func stageOf(key object.Key, state store.State) stage {
	rank := stage(object.RankOf(key.GroupKind()))
	if state.Tombstone() {
		return stageRetry - 1 - rank
	}
	return rank
}

// queue holds every key at most once, whatever the number of its changes. It hands
// out no key that is being worked on, and no key of a stage as long as an earlier
// stage, other than that of retries, is being worked on. It is not safe for concurrent use.
type queue struct {
	items   map[object.Key]*queueItem
	waiting [stages]list.List // of object.Key
	running [stages]int
}

type queueItem struct {
	waiting *list.Element // nil if it does not wait
	stage   stage         // in which it waits
	running bool
	// again says that it is to wait once more when the work that runs is done.
	again        bool
	runningStage stage
}

func newQueue() *queue {
	return &queue{items: make(map[object.Key]*queueItem)}
}

// waits reports whether the key will be handed out, or handed out again.
func (i *queueItem) waits() bool { return i.waiting != nil || i.again }

// add queues a key. A check of a key that waits, or is being worked on, is not needed,
// and neither is a retry of one that waits for its turn anyway.
func (q *queue) add(key object.Key, s stage) {
	item := q.items[key]
	switch {
	case item == nil:
		item = &queueItem{}
		q.items[key] = item
		q.push(key, item, s)
	case s == stageCheck:
	case s == stageRetry && item.waits() && item.stage < stageRetry:
	case item.running:
		item.again, item.stage = true, s
	case item.stage != s:
		q.waiting[item.stage].Remove(item.waiting)
		q.push(key, item, s)
	}
}

func (q *queue) push(key object.Key, item *queueItem, s stage) {
	item.stage = s
	item.waiting = q.waiting[s].PushBack(key)
}

// next hands out the key that has waited longest in the first stage, if it may start now.
func (q *queue) next() (key object.Key, s stage, ok bool) {
	for s := range stages {
		if first := q.waiting[s].Front(); first != nil && !q.full(s) {
			key := q.waiting[s].Remove(first).(object.Key)
			item := q.items[key]
			item.waiting, item.running, item.runningStage = nil, true, s
			q.running[s]++
			return key, s, true
		}
		if s != stageRetry && q.running[s] > 0 {
			break
		}
	}
	return object.Key{}, 0, false
}

func (q *queue) full(s stage) bool {
	return s == stageRetry && q.running[s] >= maxRetries || s == stageCheck && q.running[s] >= maxChecks
}

// done takes a key back that next handed out.
func (q *queue) done(key object.Key) {
	item := q.items[key]
	q.running[item.runningStage]--
	item.running = false
	if !item.again {
		delete(q.items, key)
		return
	}
	item.again = false
	q.push(key, item, item.stage)
}
