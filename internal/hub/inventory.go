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
	"time"

	"github.com/edgesync/edgesync/internal/delivery"
)

// Inventory is what a node should hold and what it does, as its session knows it.
type Inventory struct {
	SessionID     string
	ConnectedTime time.Time
}

// Inventory passes what the node holds or should hold to visit, object by object and in no
// order. The session of the node waits meanwhile, and what an Object refers to is good only
// then. It is false while the node has no session here.
func (h *Hub) Inventory(name string, visit func(delivery.Object)) (Inventory, bool) {
	s := h.session(name)
	if s == nil {
		return Inventory{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil {
		return Inventory{}, false
	}
	for object := range s.node.Objects() {
		visit(object)
	}
	return Inventory{SessionID: s.id, ConnectedTime: s.connected}, true
}
