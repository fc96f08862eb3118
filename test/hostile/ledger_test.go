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

package hostile

import (
	"context"
	"slices"
	"sync"
	"time"
)

// ledger keeps when each update of a counter was accepted by the API server and when it,
// or a later one, has arrived on the node. Updates are numbered from 0, in order.
type ledger struct {
	mu       sync.Mutex
	changed  *sync.Cond
	accepted []time.Time
	// arrived may be ahead of accepted: the file may be there before the answer.
	arrived []time.Time
}

func newLedger() *ledger {
	l := &ledger{}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// accept notes that the API server has answered to the next update.
func (l *ledger) accept(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = append(l.accepted, at)
	l.changed.Broadcast()
}

// arrive notes that update n is there, and with it all before.
func (l *ledger) arrive(n int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.arrived) <= n {
		l.arrived = append(l.arrived, at)
	}
	l.changed.Broadcast()
}

// next is the number of the next update to be accepted.
func (l *ledger) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// await returns when all updates below n are accepted and have arrived, or ctx is done;
// it returns how many those are.
func (l *ledger) await(ctx context.Context, n int) int {
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})()
	l.mu.Lock()
	defer l.mu.Unlock()
	for min(len(l.accepted), len(l.arrived)) < n && ctx.Err() == nil {
		l.changed.Wait()
	}
	return min(len(l.accepted), len(l.arrived))
}

// latencies are those of the updates from first up to and without end, all of which
// have arrived, in ascending order. One that has overtaken its answer took no time.
func (l *ledger) latencies(first, end int) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]time.Duration, 0, end-first)
	for n := first; n < end; n++ {
		all = append(all, max(0, l.arrived[n].Sub(l.accepted[n])))
	}
	slices.Sort(all)
	return all
}

// quantile is the least of the ascending values that q of them do not exceed.
func quantile(ascending []time.Duration, q float64) time.Duration {
	return ascending[max(0, int(float64(len(ascending))*q+0.999999)-1)]
}
