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

package agentsim

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// handshakeTimeout bounds everything until the WebSocket is open, welcomeTimeout the
	// silence after it.
	handshakeTimeout = 10 * time.Second
	welcomeTimeout   = 30 * time.Second
	// keptBuffer is the largest read buffer that is kept from frame to frame.
	keptBuffer = 4 << 10
)

// writeBuffers are shared: an agent that has nothing to say needs none.
var writeBuffers sync.Pool

// session is one connection.
type session struct {
	agent  *Agent
	conn   *websocket.Conn
	socket *patient.Conn
	buffer bytes.Buffer
	// ignored is the first message that was ignored, 0 if none was.
	ignored uint64
	// nacks are those that were sent.
	nacks uint64
	pings *time.Timer
}

// Session opens a session with what the agent holds, and keeps it until ctx is done, for
// which it returns nil, or until it ends otherwise. One session may run at a time.
func (a *Agent) Session(ctx context.Context) error {
	s := &session{agent: a}
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("the simulated agent cannot connect to %s: %w", a.config.Hub, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	err := s.converse()
	stop()
	if s.pings != nil {
		s.pings.Stop()
	}
	_ = s.conn.Close()
	a.setState(Away)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the session of the simulated agent: %w", err)
}

func (s *session) open(ctx context.Context) error {
	var counted *countedConn
	dialer := websocket.Dialer{
		HandshakeTimeout: handshakeTimeout,
		Subprotocols:     []string{protocol.Subprotocol},
		TLSClientConfig:  s.agent.config.TLS,
		ReadBufferSize:   1024,
		WriteBufferPool:  &writeBuffers,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.agent.dialer().DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			counted = &countedConn{Conn: conn}
			s.socket = &patient.Conn{Conn: counted}
			return s.socket, nil
		},
	}
	conn, response, err := dialer.DialContext(ctx, "wss://"+s.agent.config.Hub+protocol.SyncPath, nil)
	if err != nil && response != nil {
		return &refusal{fmt.Errorf("%s: %w", response.Status, err), protocol.RetryAfter(response)}
	}
	if err != nil {
		return err
	}
	counted.agent = s.agent
	conn.SetReadLimit(protocol.MaxHubFrameBytes)
	s.conn = conn
	s.socket.SetPatience(welcomeTimeout)
	return nil
}

func (a *Agent) dialer() *net.Dialer {
	dialer := &net.Dialer{KeepAlive: -1}
	if a.config.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: a.config.Source}
	}
	return dialer
}

// countedConn counts for agent once that is set.
type countedConn struct {
	net.Conn
	agent *Agent
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.agent != nil {
		c.agent.traffic.received.Add(int64(n))
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.agent != nil {
		c.agent.traffic.sent.Add(int64(n))
	}
	return n, err
}

// converse says Hello, and then answers until the connection ends.
func (s *session) converse() error {
	if err := s.write(s.hello()); err != nil {
		return err
	}
	for {
		frame, err := s.read()
		if err != nil {
			return err
		}
		arrived := time.Now()
		messages, err := protocol.DecodeHub(frame)
		if err != nil {
			return err
		}
		if err := s.handle(arrived, frame, messages); err != nil {
			return err
		}
	}
}

func (s *session) hello() *pb.AgentMessage {
	memory := &s.agent.memory
	digest := memory.digest()
	return &pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: &pb.Hello{
		ProtocolVersions: []uint32{protocol.Version},
		AgentVersion:     "simulated",
		BootId:           "8e1b5a5c-6d0e-4c55-9f0e-0c7f7ad3c4b1", // all are of one machine
		StoreEpoch:       memory.epoch,
		ClusterEpoch:     memory.cluster,
		InventoryCount:   uint32(len(memory.held)),
		InventoryDigest:  digest[:],
		Labels:           s.agent.config.Labels,
		HubInfoDigest:    memory.hubInfo,
		View:             memory.view,
		Encodings:        s.agent.config.Encodings,
	}}}
}

// read returns a frame that is valid until the next call.
func (s *session) read() ([]byte, error) {
	_, reader, err := s.conn.NextReader()
	if err != nil {
		return nil, err
	}
	if s.buffer.Cap() > keptBuffer {
		s.buffer = bytes.Buffer{}
	}
	s.buffer.Reset()
	_, err = s.buffer.ReadFrom(reader)
	return s.buffer.Bytes(), err
}

// handle takes a frame over as a whole, and answers it at once.
func (s *session) handle(arrived time.Time, frame []byte, messages []*pb.HubMessage) error {
	config := &s.agent.config
	if config.OnMessage != nil {
		for _, message := range messages {
			config.OnMessage(arrived, message)
		}
	}
	if config.Persist != nil && slices.ContainsFunc(messages, changes) {
		if err := config.Persist(frame); err != nil {
			return err
		}
	}
	var answers answers
	for _, message := range messages {
		if err := s.take(message, &answers); err != nil {
			return err
		}
	}
	if config.OnStored != nil {
		config.OnStored(arrived, messages)
	}
	s.nacks += uint64(len(answers.nacks))
	return s.write(answers.messages(s.ignored)...)
}

func changes(message *pb.HubMessage) bool {
	return message.GetPut() != nil || message.GetDelete() != nil
}

func (s *session) take(message *pb.HubMessage, answers *answers) error {
	memory := &s.agent.memory
	switch body := message.GetBody().(type) {
	case *pb.HubMessage_Put:
		if s.ignores(body.Put.GetKey(), body.Put.GetSequence()) {
			return nil
		}
		answers.put(body.Put, memory.put(body.Put))
	case *pb.HubMessage_Delete:
		if s.ignores(body.Delete.GetKey(), body.Delete.GetSequence()) {
			return nil
		}
		answers.delete(body.Delete, memory.delete(body.Delete))
	case *pb.HubMessage_Welcome:
		s.welcome(body.Welcome)
	case *pb.HubMessage_NeedInventory:
		return s.writeEach(memory.inventory())
	case *pb.HubMessage_HubInfo:
		digest := protocol.HubInfoDigest(body.HubInfo)
		memory.hubInfo = digest[:]
	case *pb.HubMessage_Bookmark:
		s.bookmark(body.Bookmark, answers)
	case *pb.HubMessage_Drain:
		return errDrained
	}
	return nil
}

// bookmark counts unless something was refused of which the hub did not know.
func (s *session) bookmark(bookmark *pb.Bookmark, answers *answers) {
	if view := bookmark.GetView(); len(view) > 0 {
		s.agent.memory.view = view
	}
	if bookmark.GetNacks() == s.nacks+uint64(len(answers.nacks)) {
		s.agent.setState(InSync)
	}
}

func (s *session) ignores(key *pb.ObjectKey, sequence uint64) bool {
	ignore := s.agent.config.Ignore
	if ignore == nil || !ignore(protocol.KeyFromPB(key)) {
		return false
	}
	if s.ignored == 0 {
		s.ignored = sequence
	}
	return true
}

func (s *session) welcome(welcome *pb.Welcome) {
	s.agent.memory.cluster = welcome.GetClusterEpoch()
	period := time.Duration(max(1, welcome.GetHeartbeatSeconds())) * time.Second
	s.socket.SetPatience(period * 5 / 2)
	// A goroutine for each agent would be half of what agents take.
	s.pings = time.AfterFunc(time.Hour, func() {
		if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(handshakeTimeout)) == nil {
			s.pings.Reset(period)
		}
	})
	s.pings.Reset(period)
	s.agent.setState(Connected)
}

func (s *session) writeEach(messages []*pb.AgentMessage) error {
	for _, message := range messages {
		if err := s.write(message); err != nil {
			return err
		}
	}
	return nil
}

// write writes the messages as one frame, if there are any.
func (s *session) write(messages ...*pb.AgentMessage) error {
	if len(messages) == 0 {
		return nil
	}
	frame, err := protocol.EncodeAgent(messages...)
	if err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.BinaryMessage, frame)
}
