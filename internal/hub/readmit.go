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
	"context"
	"maps"
	"slices"

	"github.com/edgesync/edgesync/internal/protocol"
)

// Readmit asks the admission again about the node, for its session and for whatever is
// about to become it, and ends what is refused or cannot be decided now. Who has changed
// Admit's mind and then calls Readmit can be sure that nobody slips in between. It
// returns once Admit has answered.
func (h *Hub) Readmit(name string) {
	for _, s := range h.connectionsOf(name) {
		s.readmit()
	}
}

// ReadmitAll is Readmit for all nodes, one after the other.
func (h *Hub) ReadmitAll() {
	h.mu.Lock()
	everybody := slices.AppendSeq(slices.Collect(maps.Values(h.sessions)), maps.Values(h.opening))
	h.mu.Unlock()
	for _, s := range everybody {
		s.readmit()
	}
}

// End ends a session, unless the node has another one by now: the node has a newer one with
// another replica.
func (h *Hub) End(name, sessionID string) {
	if s := h.session(name); s != nil && s.id == sessionID {
		s.end(protocol.CloseSuperseded, "the node has a newer session with another replica of the hub", "")
	}
}

func (s *session) readmit() {
	if err := s.hub.admit(context.Background(), s.peer); err != nil {
		s.fail(refusalOf(err))
	}
}

// connectionsOf are the session of a node and the connection that may supersede it.
func (h *Hub) connectionsOf(name string) []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*session
	for _, s := range []*session{h.sessions[name], h.opening[name]} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}
