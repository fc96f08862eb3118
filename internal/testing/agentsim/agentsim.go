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

// Package agentsim is an agent without a machine: it speaks the real protocol over real
// TLS, keeps what it gets in memory, and answers at once that it is persisted and applied.
// Ten thousand of them fit into one process: each takes one goroutine and, beside its
// connection, what its inventory takes.
package agentsim

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Config is what an agent needs: Hub and TLS, and nothing else. The functions are called
// by one goroutine at a time, which reads nothing meanwhile.
type Config struct {
	// Hub is the address of the hub, host:port.
	Hub string
	// TLS holds the certificate of the node and the CA to which the hub must belong.
	TLS *tls.Config
	// Source is the address to connect from; nil leaves it to the kernel. A hub limits what
	// comes from one address.
	Source net.IP
	// OnMessage is called with every message of the hub, before it is looked at. arrived is
	// when the frame that it came in had been read, and not yet decoded.
	OnMessage func(arrived time.Time, message *pb.HubMessage)
	// OnStored is called with the messages of a frame when they are held, and not yet
	// acknowledged.
	OnStored func(arrived time.Time, messages []*pb.HubMessage)
	// OnState is called when the state has changed.
	OnState func(from, to State)
	// Persist makes a frame durable; nothing in it is held before, nor acknowledged. Without
	// it memory counts as durable.
	Persist func(frame []byte) error
	// Ignore tells of which objects the agent takes nothing and never acknowledges anything.
	Ignore func(key object.Key) bool
	// Encodings are those beyond JSON that the agent declares; it understands all.
	Encodings []pb.Encoding
	// Labels are what the node says of itself; none are needed.
	Labels map[string]string
	// HubInfoDigest is that of the HubInfo which the node knows; empty if none.
	HubInfoDigest []byte
}

// State is where an agent stands.
type State int32

// States of an agent.
const (
	// Away: there is no session.
	Away State = iota
	// Connected: the hub has welcomed the agent.
	Connected
	// InSync: a Bookmark that counts has come in this session.
	InSync
)

// Agent is an agent that remembers from session to session what it holds.
type Agent struct {
	config Config
	memory memory
	state  atomic.Int32
	// traffic counts the bytes of connections below TLS, each from its open WebSocket on.
	traffic struct{ received, sent atomic.Int64 }
}

// New makes an agent that holds nothing.
func New(config Config) *Agent {
	return &Agent{config: config, memory: memory{
		held: map[object.Key]holding{}, epoch: rand.Text(), hubInfo: config.HubInfoDigest,
	}}
}

// State may be called concurrently.
func (a *Agent) State() State { return State(a.state.Load()) }

// Traffic is how many bytes the agent has received and sent below TLS, in all its sessions
// so far, without the handshakes of TCP, TLS and WebSocket. It may be called concurrently.
func (a *Agent) Traffic() (received, sent int64) {
	return a.traffic.received.Load(), a.traffic.sent.Load()
}

func (a *Agent) setState(to State) {
	if from := State(a.state.Swap(int32(to))); from != to && a.config.OnState != nil {
		a.config.OnState(from, to)
	}
}

// Run opens a session as a node that holds nothing, and keeps it until ctx is done,
// for which it returns nil, or until it ends otherwise.
func Run(ctx context.Context, config Config) error { return New(config).Session(ctx) }

// Run keeps a session until ctx is done, and opens another one whenever it has ended, after
// the delays that docs/protocol.md asks for. It calls failed with why each has ended.
func (a *Agent) Run(ctx context.Context, failed func(error)) {
	delays := backoff{}
	for {
		start := time.Now()
		err := a.Session(ctx)
		if ctx.Err() != nil {
			return
		}
		failed(err)
		select {
		case <-time.After(delays.next(err, time.Since(start))):
		case <-ctx.Done():
			return
		}
	}
}

// errDrained ends a session because the hub asked for it.
var errDrained = errors.New("the hub drains")
