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

package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// begin opens a session.
func (s *siege) begin(as caller, change ...func(*pb.Hello)) *link {
	s.t.Helper()
	l := s.connect(as)
	s.g.Expect(l.greet(change...)).To(Succeed())
	return l
}

// connect makes a WebSocket that must succeed.
func (s *siege) connect(as caller) *link {
	s.t.Helper()
	l, _, err := s.open(as)
	s.g.Expect(err).NotTo(HaveOccurred())
	return l
}

// link is a WebSocket of an attacker.
type link struct{ *websocket.Conn }

// raw sends bytes that need not be a frame.
func (l *link) raw(data []byte) error {
	_, err := l.NetConn().Write(data)
	return err
}

// hostileVersion is what attackers say that they are.
const hostileVersion = "hostile"

// hello is that of a node that holds nothing.
func hello(change ...func(*pb.Hello)) *pb.AgentMessage {
	empty := object.InventoryDigest(nil)
	h := &pb.Hello{ProtocolVersions: []uint32{protocol.Version}, AgentVersion: hostileVersion, BootId: "boot", InventoryDigest: empty[:]}
	for _, c := range change {
		c(h)
	}
	return &pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: h}}
}

func (l *link) send(messages ...*pb.AgentMessage) error {
	frame, err := protocol.EncodeAgent(messages...)
	if err != nil {
		return err
	}
	return l.WriteMessage(websocket.BinaryMessage, frame)
}

// receive reads one frame.
func (l *link) receive() ([]*pb.HubMessage, error) {
	_ = l.SetReadDeadline(time.Now().Add(patience))
	_, data, err := l.ReadMessage()
	if err != nil {
		return nil, err
	}
	return protocol.DecodeHub(data)
}

// greet sends a Hello and returns when the session has begun.
func (l *link) greet(change ...func(*pb.Hello)) error {
	if err := l.send(hello(change...)); err != nil {
		return err
	}
	messages, err := l.receive()
	if err != nil {
		return err
	}
	if messages[0].GetWelcome() == nil {
		return fmt.Errorf("the hub does not say Welcome but %T", messages[0].GetBody())
	}
	return nil
}

var errPong = errors.New("a pong has come")

// ping returns when the hub has read all that was sent and has not ended the connection.
// Nothing more can be received after that.
func (l *link) ping() error {
	l.SetPongHandler(func(string) error { return errPong })
	if err := l.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)); err != nil {
		return err
	}
	for {
		if _, err := l.receive(); errors.Is(err, errPong) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// end reads on until the connection ends, and returns how it has.
func (l *link) end() string {
	for {
		if _, err := l.receive(); err != nil {
			_ = l.Close()
			return describe(err)
		}
	}
}

// describe is what an attacker sees of the end of a connection.
func describe(err error) string {
	var closed *websocket.CloseError
	var network *net.OpError
	switch {
	case errors.As(err, &closed) && closed.Code == websocket.CloseAbnormalClosure:
		return connectionClosed
	case errors.As(err, &closed):
		return fmt.Sprintf("close %d", closed.Code)
	case errors.As(err, &network) && network.Op == "remote error":
		return "TLS alert: " + strings.TrimPrefix(network.Err.Error(), "tls: ")
	case slices.ContainsFunc(endsOfConnections, func(end error) bool { return errors.Is(err, end) }):
		return connectionClosed
	default:
		return err.Error()
	}
}

var endsOfConnections = []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE}

// Opcodes and bits of a WebSocket frame (RFC 6455, section 5.2).
const (
	continuation = 0x0
	binaryFrame  = 0x2
	ping         = 0x9
	fin          = 0x80
	rsv1         = 0x40
	masked       = 0x80
)

// frame is a WebSocket frame with the mask zero; announced is the length in its header.
func frame(first byte, announced int, payload []byte) []byte {
	header := []byte{first}
	switch {
	case announced < 126:
		header = append(header, masked|byte(announced))
	case announced < 1<<16:
		header = binary.BigEndian.AppendUint16(append(header, masked|126), uint16(announced))
	default:
		header = binary.BigEndian.AppendUint64(append(header, masked|127), uint64(announced))
	}
	return append(append(header, 0, 0, 0, 0), payload...)
}
