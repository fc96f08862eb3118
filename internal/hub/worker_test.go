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
	"sync"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
)

// Whatever is asked for is followed by a step that begins later, steps do not overlap, and
// there is none before the start and none after the last.
func TestWorker(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := newWorker()
	const askers, rounds = 8, 500
	var asked, seen, stepping atomic.Int64
	var stop, overlapped, afterLast atomic.Bool
	w.ask()
	w.start(func() bool {
		overlapped.CompareAndSwap(false, !stepping.CompareAndSwap(0, 1))
		afterLast.CompareAndSwap(false, closed(w.over))
		last := stop.Load()
		seen.Store(asked.Load())
		stepping.Store(0)
		return last
	})
	g.Eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.running }).Should(BeFalse(), "asked before the start, and done")
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for range rounds {
				asked.Add(1)
				w.ask()
			}
		})
	}
	wg.Wait()
	g.Eventually(seen.Load).Should(BeEquivalentTo(askers * rounds))
	stop.Store(true)
	w.ask()
	g.Eventually(w.over).Should(BeClosed())
	w.ask()
	g.Consistently(afterLast.Load, "50ms").Should(BeFalse())
	g.Expect(overlapped.Load()).To(BeFalse())
}
