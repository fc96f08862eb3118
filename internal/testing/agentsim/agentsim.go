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

// Package agentsim is an agent without a machine: it speaks the real protocol over
// real TLS, keeps what it gets nowhere, and answers at once that it is persisted and
// applied. Many fit into one process.
package agentsim

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// writeTimeout bounds every write, and the handshake.
const writeTimeout = 10 * time.Second

// Config is what an agent needs.
type Config struct {
	// Hub is the address of the hub, host:port.
	Hub string
	// TLS holds the certificate of the node and the CA to which the hub must belong.
	TLS *tls.Config
	// OnMessage is called by one goroutine with every message of the hub, before it is
	// answered. arrived is when the frame that it came in had been read, and not yet
	// decoded.
	OnMessage func(arrived time.Time, message *pb.HubMessage)
	// Labels are what the node says of itself; none are needed.
	Labels map[string]string
	// HubInfoDigest is that of the HubInfo which the node knows; empty if none.
	HubInfoDigest []byte
}

// Run opens a session as a node that holds nothing, and keeps it until ctx is done,
// for which it returns nil, or until it ends otherwise.
func Run(ctx context.Context, config Config) error {
	s := &session{config: config}
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("the simulated agent cannot connect to %s: %w", config.Hub, err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close() })()
	group, alive := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer func() { _ = s.conn.Close() }()
		return s.read(func(period time.Duration) {
			group.Go(func() error { return s.ping(alive, period) })
		})
	})
	err := group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the session of the simulated agent: %w", err)
}

type session struct {
	config Config
	conn   *websocket.Conn
}

func (s *session) open(ctx context.Context) error {
	dialer := websocket.Dialer{
		HandshakeTimeout: writeTimeout,
		Subprotocols:     []string{protocol.Subprotocol},
		TLSClientConfig:  s.config.TLS,
	}
	conn, response, err := dialer.DialContext(ctx, "wss://"+s.config.Hub+protocol.SyncPath, http.Header{})
	if err != nil && response != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if err != nil {
		return err
	}
	conn.SetReadLimit(protocol.MaxHubFrameBytes)
	s.conn = conn
	empty := object.InventoryDigest(nil)
	return s.write(&pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: &pb.Hello{
		ProtocolVersions: []uint32{protocol.Version},
		AgentVersion:     "simulated",
		InventoryDigest:  empty[:],
		Labels:           s.config.Labels,
		HubInfoDigest:    s.config.HubInfoDigest,
	}}})
}

// read also answers.
func (s *session) read(startPings func(period time.Duration)) error {
	for {
		_, frame, err := s.conn.ReadMessage()
		if err != nil {
			return err
		}
		arrived := time.Now()
		messages, err := protocol.DecodeHub(frame)
		if err != nil {
			return err
		}
		for _, message := range messages {
			if welcome := message.GetWelcome(); welcome != nil {
				startPings(time.Duration(max(1, welcome.GetHeartbeatSeconds())) * time.Second)
			}
			if s.config.OnMessage != nil {
				s.config.OnMessage(arrived, message)
			}
		}
		if answers := answersTo(messages); len(answers) > 0 {
			if err := s.write(answers...); err != nil {
				return err
			}
		}
	}
}

// answersTo acknowledges messages and reports them as applied.
func answersTo(messages []*pb.HubMessage) []*pb.AgentMessage {
	var last uint64
	var results []*pb.ApplyResult
	for _, message := range messages {
		switch body := message.GetBody().(type) {
		case *pb.HubMessage_Put:
			last = body.Put.GetSequence()
			digest := object.DigestOf(body.Put.GetPayload())
			results = append(results, &pb.ApplyResult{
				Key: body.Put.GetKey(), Uid: body.Put.GetUid(), Digest: digest[:],
				State: pb.ApplyState_APPLY_STATE_APPLIED,
			})
		case *pb.HubMessage_Delete:
			last = body.Delete.GetSequence()
			results = append(results, &pb.ApplyResult{
				Key: body.Delete.GetKey(), Uid: body.Delete.GetUid(),
				Digest: make([]byte, object.DigestSize),
				State:  pb.ApplyState_APPLY_STATE_REMOVED,
			})
		}
	}
	if last == 0 {
		return nil
	}
	return []*pb.AgentMessage{
		{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Cumulative: last}}},
		{Body: &pb.AgentMessage_Applied{Applied: &pb.Applied{Results: results}}},
	}
}

func (s *session) write(messages ...*pb.AgentMessage) error {
	frame, err := protocol.EncodeAgent(messages...)
	if err != nil {
		return err
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.BinaryMessage, frame)
}

func (s *session) ping(ctx context.Context, period time.Duration) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)); err != nil {
				return err
			}
		}
	}
}
