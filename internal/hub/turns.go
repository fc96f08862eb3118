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
	"runtime"
	"sync"
)

// turns bounds the handshakes that wait for the hub, and not for their peer: when thousands
// of nodes come at once, as after a restart, the hub does what it can of them and lets the
// others wait. If it began with all of them none would
// be done in time, and the oldest, which are the next to be done, would have to go for others.
// Peers that are slow take no turn, however many they are.
type turns struct {
	mu    sync.Mutex
	taken int
	most  int
	// freed is called when a turn becomes free. It must not block.
	freed func()
}

// newTurns is for as many as keep the processors busy.
func newTurns(freed func()) *turns { return &turns{most: 16 * runtime.GOMAXPROCS(0), freed: freed} }

// free reports whether another connection can be taken on.
func (t *turns) free() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken < t.most
}

// turn is that of one connection; the zero value has none.
type turn struct {
	of    *turns
	taken bool
	over  bool
}

// take begins what the hub has to do, and give ends it, until the peer has said more. They
// may be called concurrently, and more than once. Without turns they do nothing.
func (t *turn) take() { t.set(true, false) }

func (t *turn) give() { t.set(false, false) }

// end is the last give: no take counts after it.
func (t *turn) end() { t.set(false, true) }

func (t *turn) set(taken, over bool) {
	if t.of == nil {
		return
	}
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.over = t.over || over
	if taken = taken && !t.over; taken == t.taken {
		return
	}
	t.taken = taken
	if taken {
		t.of.taken++
		return
	}
	t.of.taken--
	t.of.freed()
}
