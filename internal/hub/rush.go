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
	"time"
)

// rushOpenings are the nodes that connect within a second when it is called a rush, which
// is over when a second has passed without one.
const rushOpenings = 20

// rush tells when nodes come in such numbers, as after a restart, that whatever can wait
// should. The zero value knows of none.
type rush struct {
	mu       sync.Mutex
	counting time.Time
	count    int
	until    time.Time
}

// opening notes that a node connects.
func (r *rush) opening(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.counting) >= time.Second {
		r.counting, r.count = now, 0
	}
	if r.count++; r.count >= rushOpenings {
		r.until = now.Add(time.Second)
	}
}

func (r *rush) on(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until)
}

// Rushed reports whether many nodes connect at the moment, so that what can wait should.
func (h *Hub) Rushed() bool { return h.rush.on(time.Now()) }
