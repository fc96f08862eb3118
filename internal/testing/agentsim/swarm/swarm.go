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

// Package swarm runs many simulated agents in a process of their own, so that what they
// take is not counted as anybody else's, and controls them from another one.
package swarm

import (
	"context"
	"io"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"slices"
	"sync"
	"time"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol/pb"
	"github.com/edgesync/edgesync/internal/testing/agentsim"
)

// Setup is what agents have in common.
type Setup struct {
	// Hub is the address of the hub, host:port. Agents connect to it from addresses of
	// their own in 127.0.0.0/8.
	Hub string
	// CertPEM and KeyPEM are the CA that signs the nodes' certificates.
	CertPEM, KeyPEM []byte
	// Journal is a file to which everything is appended, and synced, before it counts as
	// persisted; what all agents get meanwhile is synced together. Empty: nothing is.
	Journal string
	// Nodes are whom to be.
	Nodes []pki.Node
	// Encodings are those beyond JSON that the agents declare.
	Encodings []pb.Encoding
}

// Range selects agents by their place in Setup.Nodes.
type Range struct{ First, Count int }

// Stats is where all agents together stand.
type Stats struct {
	// Connected are the agents with a session, InSync those of them to whom a Bookmark
	// has come in it.
	Connected, InSync int
	// Changed is when Connected or InSync last did, Stored when an object last was.
	Changed, StoredAt time.Time
	// Stored counts the objects stored and the deletions carried out.
	Stored int
	// Failures counts the sessions that could not be opened or have failed; LastFailure is
	// an example.
	Failures    int
	LastFailure string
	// Received and Sent are bytes below TLS, without handshakes.
	Received, Sent int64
}

// Arrival is one object, or deletion, at one agent.
type Arrival struct {
	// Agent is its place in Setup.Nodes.
	Agent   int
	Key     object.Key
	Version string
	// Connected is when the agent's session was opened, Arrived when the frame had been
	// read, Stored when what was in it was persisted and held.
	Connected, Arrived, Stored time.Time
}

// Serve runs agents as a Client at the other end of the connection says, until that ends.
func Serve(connection io.ReadWriteCloser) {
	server := rpc.NewServer()
	_ = server.RegisterName("Swarm", &service{}) // fails for no reason that lies in the data
	server.ServeCodec(jsonrpc.NewServerCodec(connection))
}

// service has the methods that the client calls.
type service struct {
	agents  []*member
	journal *journal

	mu       sync.Mutex
	stats    Stats
	ignored  string
	record   bool
	arrivals []Arrival
}

// member is one agent.
type member struct {
	*agentsim.Agent
	connected time.Time
	stop      context.CancelFunc
	stopped   chan struct{}
}

// Setup is called once, before all others.
func (s *service) Setup(setup Setup, _ *struct{}) error {
	ca, err := pki.ParseCA(setup.CertPEM, setup.KeyPEM, time.Now())
	if err != nil {
		return err
	}
	if setup.Journal != "" {
		if s.journal, err = newJournal(setup.Journal); err != nil {
			return err
		}
	}
	for i, node := range setup.Nodes {
		config, err := agentsim.TLSConfig(ca, node)
		if err != nil {
			return err
		}
		m := &member{}
		m.Agent = agentsim.New(agentsim.Config{
			Hub: setup.Hub, TLS: config,
			Source:    net.IPv4(127, 1+byte(i>>16), byte(i>>8), byte(i)),
			Encodings: setup.Encodings,
			Persist:   s.journal.appender(),
			Ignore:    s.ignores,
			OnState:   func(from, to agentsim.State) { s.changed(m, from, to) },
			OnStored:  func(arrived time.Time, messages []*pb.HubMessage) { s.stored(i, m, arrived, messages) },
		})
		s.agents = append(s.agents, m)
	}
	return nil
}

// Connect has agents connect, all at once, and keep connecting.
func (s *service) Connect(agents Range, _ *struct{}) error {
	for _, m := range s.agents[agents.First : agents.First+agents.Count] {
		var ctx context.Context
		ctx, m.stop = context.WithCancel(context.Background())
		m.stopped = make(chan struct{})
		go func() {
			defer close(m.stopped)
			m.Run(ctx, s.failed)
		}()
	}
	return nil
}

// Disconnect ends what Connect began.
func (s *service) Disconnect(agents Range, _ *struct{}) error {
	leaving := s.agents[agents.First : agents.First+agents.Count]
	for _, m := range leaving {
		m.stop()
	}
	for _, m := range leaving {
		<-m.stopped
	}
	return nil
}

// Stats says where the agents stand.
func (s *service) Stats(_ struct{}, stats *Stats) error {
	s.mu.Lock()
	*stats = s.stats
	s.mu.Unlock()
	for _, m := range s.agents {
		received, sent := m.Traffic()
		stats.Received += received
		stats.Sent += sent
	}
	return nil
}

// Record begins to note arrivals, or ends it.
func (s *service) Record(on bool, _ *struct{}) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = on
	return nil
}

// Arrivals takes what has been noted.
func (s *service) Arrivals(_ struct{}, arrivals *[]Arrival) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*arrivals, s.arrivals = s.arrivals, nil
	return nil
}

// Ignore has no agent acknowledge objects of a name.
func (s *service) Ignore(name string, _ *struct{}) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ignored = name
	return nil
}

func (s *service) ignores(key object.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ignored != "" && key.Name == s.ignored
}

func (s *service) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Failures++
	s.stats.LastFailure = err.Error()
}

func (s *service) changed(m *member, from, to agentsim.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, count := range []struct {
		state agentsim.State
		by    int
	}{{from, -1}, {to, 1}} {
		if count.state != agentsim.Away {
			s.stats.Connected += count.by
		}
		if count.state == agentsim.InSync {
			s.stats.InSync += count.by
		}
	}
	s.stats.Changed = now
	if from == agentsim.Away {
		m.connected = now
	}
}

func (s *service) stored(agent int, m *member, arrived time.Time, messages []*pb.HubMessage) {
	messages = slices.DeleteFunc(slices.Clone(messages), func(message *pb.HubMessage) bool {
		return message.GetPut() == nil && message.GetDelete() == nil
	})
	if len(messages) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.stats.Stored += len(messages)
	s.stats.StoredAt = now
	for _, message := range messages {
		if !s.record {
			return
		}
		s.arrivals = append(s.arrivals, Arrival{
			Agent: agent, Key: agentsim.KeyOf(message), Version: message.GetPut().GetVersion(),
			Connected: m.connected, Arrived: arrived, Stored: now,
		})
	}
}
