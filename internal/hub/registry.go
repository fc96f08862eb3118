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
	"fmt"
	"net/http"
	"time"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
)

// reserve takes a place for a connection of the node. A node that has a session
// replaces it.
func (h *Hub) reserve(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return &Refusal{
			Status: http.StatusServiceUnavailable, Message: "the hub is shutting down", RetryAfter: time.Second, cause: causeDraining,
		}
	}
	if refusal := h.contests[name].refusal(time.Now()); refusal != nil && h.sessions[name] != nil {
		return refusal
	}
	if h.sessions[name] == nil && h.connections >= h.options.MaxNodes {
		return &Refusal{
			Status:     http.StatusServiceUnavailable,
			Message:    fmt.Sprintf("the hub is full: it serves at most %d nodes", h.options.MaxNodes),
			RetryAfter: time.Minute,
			cause:      causeFull,
		}
	}
	h.connections++
	h.rush.opening(time.Now())
	h.running.Add(1)
	return nil
}

func (h *Hub) unreserve() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connections--
	h.running.Done()
}

// expectHello makes s the only connection of its node whose Hello is to come.
func (h *Hub) expectHello(s *session) {
	h.mu.Lock()
	old := h.opening[s.name]
	h.opening[s.name] = s
	h.mu.Unlock()
	if old != nil {
		old.end(protocol.CloseSuperseded, "the node has opened a newer connection", causeReplaced)
	}
}

// enter makes s the session of its node, and returns the keys that the node should
// hold. An older session of the node ends: of two connections of one machine the
// newer is the one that works. It is false if s has been ended, as by a newer one.
func (h *Hub) enter(s *session) (keys []object.Key, ok bool) {
	old, keys, ok := h.takeOver(s)
	if old != nil {
		h.noteTakeover(old, s)
		old.end(protocol.CloseSuperseded, "the node has opened a newer session", "")
	}
	return keys, ok
}

func (h *Hub) takeOver(s *session) (old *session, keys []object.Key, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.ended() {
		return nil, nil, false
	}
	old = h.sessions[s.name]
	h.sessions[s.name] = s
	if h.opening[s.name] == s {
		delete(h.opening, s.name)
	}
	sessionsGauge.Set(float64(len(h.sessions)))
	if h.draining {
		s.drain()
	}
	return old, h.options.Index.Attach(s.name, s), true
}

// leave ends what expectHello and enter have begun.
func (h *Hub) leave(s *session) {
	h.options.Index.Detach(s.name, s)
	if h.remove(s) {
		h.options.Observer.OnNodeEvent(s.name)
	}
}

func (h *Hub) remove(s *session) (wasSession bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opening[s.name] == s {
		delete(h.opening, s.name)
	}
	if h.sessions[s.name] != s {
		return false
	}
	delete(h.sessions, s.name)
	sessionsGauge.Set(float64(len(h.sessions)))
	return true
}

// drainInterval lies between two nodes that are asked to go, so that the hub to which they
// all go is not met by a wave. If there are many, the last is asked when three quarters of the
// drain timeout have passed, which leaves it time.
const drainInterval = 2 * time.Millisecond

// Drain refuses new connections, asks the nodes to go elsewhere, one after the other, and
// returns when all connections have ended or the drain timeout has made them end.
func (h *Hub) Drain() {
	defer time.AfterFunc(h.options.DrainTimeout, h.close).Stop()
	leaving := h.startDraining()
	start, interval := time.Now(), drainInterval
	if n := len(leaving); n > 0 {
		interval = min(interval, h.options.DrainTimeout*3/4/time.Duration(n))
	}
	for i, s := range leaving {
		h.pauseUntil(start.Add(time.Duration(i)*interval), s)
		s.drain()
	}
	h.running.Wait()
}

// pauseUntil does not wait for a session that has ended, nor beyond the drain timeout.
func (h *Hub) pauseUntil(at time.Time, s *session) {
	wait := time.Until(at)
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.done:
	case <-h.closing.Done():
	}
}

// drainLeft is how much of the time to drain is left.
func (h *Hub) drainLeft() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, time.Until(h.drained))
}

func (h *Hub) startDraining() []*session {
	h.mu.Lock()
	h.draining, h.drained = true, time.Now().Add(h.options.DrainTimeout)
	h.mu.Unlock()
	return h.all()
}
