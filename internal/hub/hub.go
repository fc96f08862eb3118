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
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Observer is told what the sessions come to. Its methods are called often and must
// not block.
type Observer interface {
	// OnNodeEvent: the node has connected or disconnected.
	OnNodeEvent(node string)
	// OnProgress: the progress of the keys on the node may have changed.
	OnProgress(node string, keys []object.Key)
}

// Options are what a Hub needs; all are required but those with a default.
type Options struct {
	Index    *desired.Index
	Observer Observer
	// Admit decides whether the bearer of a certificate may have a session: nil, a
	// *Refusal, or another error, which the node does not get to see. It is asked for each
	// connection, again once its Hello has come, and by Readmit.
	Admit func(ctx context.Context, peer pki.Peer) error
	// Info is what nodes are to know of the hub, which changes only before Announce is
	// called. It must keep to the limits of the protocol, is called often, and must not block.
	Info func() *pb.HubInfo
	// ClusterEpoch identifies the cluster, whose resource versions are comparable.
	ClusterEpoch string
	Log          logr.Logger

	// MaxNodes bounds the nodes that are connected at once; default 20,000.
	MaxNodes int
	// Heartbeat is how often agents ping; a node that is silent for two and a half
	// is given up. Default 20 s.
	Heartbeat time.Duration
	// Delivery bounds what is under way to one node. MaxObjectBytes is what nodes get
	// at most, whatever they declare.
	Delivery delivery.Config
	// DrainTimeout bounds how long a shutdown waits for the nodes to go. Default 5 s.
	DrainTimeout time.Duration
}

func (o *Options) setDefaults() error {
	if o.Index == nil || o.Observer == nil || o.Admit == nil || o.Info == nil || o.ClusterEpoch == "" {
		return errors.New("the hub needs an index, an observer, an admission, an info and a cluster epoch")
	}
	setDefault(&o.MaxNodes, 20_000)
	setDefault(&o.Heartbeat, 20*time.Second)
	setDefault(&o.DrainTimeout, 5*time.Second)
	setDefault(&o.Delivery.WindowMessages, 1024)
	setDefault(&o.Delivery.WindowBytes, 4<<20)
	setDefault(&o.Delivery.MaxObjectBytes, protocol.MaxObjectBytes)
	setDefault(&o.Delivery.RetryBase, time.Second)
	setDefault(&o.Delivery.RetryMax, 5*time.Minute)
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Hub holds one session per node. Its methods may be called concurrently.
type Hub struct {
	options  Options
	upgrader websocket.Upgrader

	// closing is done when the time to drain is over.
	closing context.Context
	close   context.CancelFunc

	mu       sync.Mutex
	sessions map[string]*session
	// opening are the connections whose Hello has not come yet, the newest of each node.
	opening map[string]*session
	// contests are the nodes of which several machines have had the session of late.
	contests map[string]*contest
	// connections counts the sessions, and what may become one or has been one.
	connections int
	draining    bool
	running     sync.WaitGroup
}

// New makes a Hub.
func New(options Options) (*Hub, error) {
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	closing, closeNow := context.WithCancel(context.Background())
	return &Hub{
		options:  options,
		closing:  closing,
		close:    closeNow,
		sessions: map[string]*session{},
		opening:  map[string]*session{},
		contests: map[string]*contest{},
		upgrader: websocket.Upgrader{
			HandshakeTimeout: handshakeTimeout,
			ReadBufferSize:   1024,
			WriteBufferSize:  4096,
			WriteBufferPool:  &sync.Pool{},
			Subprotocols:     []string{protocol.Subprotocol},
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

// Drain refuses new connections, asks the nodes to go elsewhere, and returns when all
// connections have ended or the drain timeout has made them end.
func (h *Hub) Drain() {
	for _, s := range h.startDraining() {
		s.drain()
	}
	defer time.AfterFunc(h.options.DrainTimeout, h.close).Stop()
	h.running.Wait()
}

func (h *Hub) startDraining() []*session {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	return h.all()
}

func (h *Hub) all() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.sessions))
}
