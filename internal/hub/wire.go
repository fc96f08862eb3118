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
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// keptBuffer is the largest read buffer that is used again.
	keptBuffer = 4 << 10
	// farewellTimeout bounds how long the end of a session may take.
	farewellTimeout = 500 * time.Millisecond
	// maxCloseReason is what a WebSocket close frame has room for.
	maxCloseReason = 123
)

// wire carries frames to and from one agent. One goroutine may read while another writes.
type wire struct {
	conn   *websocket.Conn
	socket *patient.Conn
	// frameBytes is the size of the frame that was read last.
	frameBytes int
}

func newWire(conn *websocket.Conn) (*wire, error) {
	socket := socketBelow(conn.NetConn())
	if socket == nil {
		return nil, errors.New("the hub is not served through a patient.Listener, as a Server does")
	}
	conn.SetReadLimit(protocol.MaxAgentFrameBytes)
	return &wire{conn: conn, socket: socket}, nil
}

// socketBelow finds the connection below TLS, whose deadlines move with progress.
func socketBelow(conn net.Conn) *patient.Conn {
	for {
		if socket, ok := conn.(*patient.Conn); ok {
			return socket
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = wrapper.NetConn()
	}
}

type inventory map[object.Key]delivery.Held

// frames are buffers for frames that have come. An idle session has none.
var frames = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readFrame waits for the next frame, for decode.
func (w *wire) readFrame() (*bytes.Buffer, error) {
	kind, reader, err := w.conn.NextReader()
	if err != nil {
		return nil, err
	}
	if kind != websocket.BinaryMessage {
		return nil, fmt.Errorf("%w: a frame that is not binary", delivery.ErrProtocol)
	}
	frame := frames.Get().(*bytes.Buffer)
	if _, err := frame.ReadFrom(reader); err != nil {
		release(frame)
		return nil, err
	}
	w.frameBytes = frame.Len()
	received.Add(float64(w.frameBytes))
	return frame, nil
}

// decode returns what is in a frame, which must not be used again.
func decode(frame *bytes.Buffer) ([]*pb.AgentMessage, error) {
	defer release(frame)
	return protocol.DecodeAgent(frame.Bytes())
}

func release(frame *bytes.Buffer) {
	if frame.Cap() <= keptBuffer {
		frame.Reset()
		frames.Put(frame)
	}
}

func (w *wire) read() ([]*pb.AgentMessage, error) {
	frame, err := w.readFrame()
	if err != nil {
		return nil, err
	}
	return decode(frame)
}

func (w *wire) write(messages ...*pb.HubMessage) error {
	frame, err := protocol.EncodeHub(messages...)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	sent.Add(float64(len(frame)))
	return w.conn.WriteMessage(websocket.BinaryMessage, frame)
}

// farewell tells the node why the connection ends, as far as that can be said soon.
func (w *wire) farewell(code int, reason string) {
	if len(reason) > maxCloseReason {
		reason = reason[:maxCloseReason]
	}
	message := websocket.FormatCloseMessage(code, string(bytes.ToValidUTF8([]byte(reason), nil)))
	_ = w.conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(farewellTimeout))
}

// close closes the connection once the node has, or its time is over: closing it with
// something unread would reset it, and the farewell might be lost. The connection must
// expire.
func (w *wire) close() {
	_, _ = io.Copy(io.Discard, w.socket)
	_ = w.conn.Close()
}

// readHello reads the first frame, which is one Hello.
func (w *wire) readHello() (*pb.Hello, error) {
	messages, err := w.read()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errNoHello
	}
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 || messages[0].GetHello() == nil {
		return nil, fmt.Errorf("%w: the first frame is not a Hello", delivery.ErrProtocol)
	}
	hello := messages[0].GetHello()
	return hello, negotiate(hello)
}

// readInventory reads Inventory messages, if some are to come, until the last one.
func (w *wire) readInventory(some bool) (inventory, error) {
	held := inventory{}
	bytes := 0
	for last := !some; !last; {
		messages, err := w.read()
		if err != nil {
			return nil, err
		}
		if bytes += w.frameBytes; bytes > protocol.MaxInventoryBytes {
			return nil, fmt.Errorf("%w: an inventory of more than %d bytes", delivery.ErrProtocol, protocol.MaxInventoryBytes)
		}
		for _, message := range messages {
			part := message.GetInventory()
			if part == nil || last {
				return nil, fmt.Errorf("%w: something else in the place of the inventory", delivery.ErrProtocol)
			}
			if last, err = held.add(part); err != nil {
				return nil, err
			}
		}
	}
	return held, nil
}

// add takes over a part. So that an inventory ends, each part brings something new.
func (i inventory) add(part *pb.Inventory) (last bool, err error) {
	before := len(i)
	for _, entry := range part.GetEntries() {
		i[protocol.KeyFromPB(entry.GetKey())] = delivery.Held{
			Holding: object.Holding{
				UID:     entry.GetUid(),
				Version: entry.GetVersion(),
				Digest:  object.Digest(entry.GetDigest()),
				Retain:  entry.GetRetain(),
			},
			State:   stateFromPB(entry.GetState()),
			Message: entry.GetMessage(),
		}
	}
	switch added := len(i) - before; {
	case len(i) > protocol.MaxInventory:
		return false, fmt.Errorf("%w: an inventory of more than %d objects", delivery.ErrProtocol, protocol.MaxInventory)
	case added < len(part.GetEntries()):
		return false, fmt.Errorf("%w: an inventory that names an object twice", delivery.ErrProtocol)
	case added == 0 && !part.GetLast():
		return false, fmt.Errorf("%w: an empty part of an inventory that goes on", delivery.ErrProtocol)
	}
	return part.GetLast(), nil
}

func (i inventory) markForeign() {
	for key, held := range i {
		held.Foreign = true
		i[key] = held
	}
}

func applied(holding object.Holding) delivery.Held {
	return delivery.Held{Holding: holding, State: delivery.Applied}
}

// stateFromPB converts the state of something that is not removed. The protocol has
// refused all others.
func stateFromPB(state pb.ApplyState) delivery.State {
	switch state {
	case pb.ApplyState_APPLY_STATE_APPLIED:
		return delivery.Applied
	case pb.ApplyState_APPLY_STATE_PROGRESSING:
		return delivery.Progressing
	case pb.ApplyState_APPLY_STATE_FAILED:
		return delivery.ApplyFailed
	case pb.ApplyState_APPLY_STATE_REMOVING:
		return delivery.Removing
	case pb.ApplyState_APPLY_STATE_REMOVE_FAILED:
		return delivery.RemoveFailed
	default:
		return delivery.Pending
	}
}
