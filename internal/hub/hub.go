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

// Package hub owns the sockets of the nodes: it admits them, runs one session for
// each, and moves messages between a session's socket and its delivery, which
// decides what to send (package delivery).
package hub

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/payload"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
)

// Hub holds one session per node. Its methods may be called concurrently.
type Hub struct {
	options  Options
	upgrader websocket.Upgrader
	// payloads are the forms in which objects travel, shared by all sessions.
	payloads *payload.Cache

	// closing is done when the time to drain is over.
	closing context.Context
	close   context.CancelFunc

	mu       sync.Mutex
	sessions map[string]*session
	// opening are the connections whose Hello has not come yet, the newest of each node.
	opening map[string]*session
	// contests are the nodes of which several machines have had the session of late.
	contests map[string]*contest
	// current is where the API server is.
	current currentVersion
	rush    rush
	// connections counts the sessions, and what may become one or has been one.
	connections int
	draining    bool
	// drained is when the time to drain will be over.
	drained time.Time
	running sync.WaitGroup
}

// New makes a Hub.
func New(options Options) (*Hub, error) {
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	closing, closeNow := context.WithCancel(context.Background())
	payloads := payload.NewCache(payloadCacheBytes)
	options.Index.OnReplaced(payloads.Remember)
	return &Hub{
		options:  options,
		payloads: payloads,
		closing:  closing,
		current:  currentVersion{ask: options.Current},
		close:    closeNow,
		sessions: map[string]*session{},
		opening:  map[string]*session{},
		contests: map[string]*contest{},
		upgrader: websocket.Upgrader{
			HandshakeTimeout: handshakeTimeout,
			// Nearly all that agents send is short, and whatever is not goes past the buffer.
			ReadBufferSize:  256,
			WriteBufferSize: 4096,
			WriteBufferPool: &sync.Pool{},
			Subprotocols:    []string{protocol.Subprotocol},
			// An agent is no browser: whatever names an origin is one.
			CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "" },
		},
	}, nil
}

// NodeState is what the hub knows of a connected node.
type NodeState struct {
	// Peer is whom the certificate that opened the session was issued to.
	Peer          pki.Node
	SessionID     string
	ConnectedTime time.Time
	RemoteAddress string
	AgentVersion  string
	BootID        string
	// Labels are what the node says of itself, as it says it: not even their syntax has
	// been checked, only their number and size. They must not be changed.
	Labels map[string]string
	// Contenders are the remote addresses of the last two machines that have taken the
	// session from each other, if several fight for it: a cloned disk, or a stolen key.
	// OnNodeEvent tells when that begins, and when it has been quiet for ten minutes.
	Contenders []string
	Summary    delivery.Summary
}

// Node reports the state of a node; false while it has no session here.
func (h *Hub) Node(name string) (NodeState, bool) {
	s := h.session(name)
	if s == nil {
		return NodeState{}, false
	}
	state, ok := s.state()
	state.Contenders = h.contenders(name)
	return state, ok
}

// Progress reports how far a node is with some keys: the worst of them, and the
// failures. It is false while the node has no session here.
func (h *Hub) Progress(name string, keys []object.Key) (delivery.Progress, []delivery.Failure, bool) {
	s := h.session(name)
	if s == nil {
		return delivery.InProgress, nil, false
	}
	return s.progress(keys)
}

// Announce tells every node what Info says now, unless the node knows it. It does not
// wait until they have been told.
func (h *Hub) Announce() {
	for _, s := range h.all() {
		s.announce()
	}
}

// Sessions counts the nodes with a session.
func (h *Hub) Sessions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

func (h *Hub) session(name string) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[name]
}

func (h *Hub) all() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.sessions))
}
