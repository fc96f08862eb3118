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

package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
)

const (
	// handshakeTimeout bounds everything from the first packet to the open WebSocket.
	handshakeTimeout = 10 * time.Second
	// maxHandshakeBytes bounds everything that is read until then, TLS included.
	maxHandshakeBytes = 512 << 10
	// welcomeTimeout bounds the silence before the hub's Welcome.
	welcomeTimeout = 30 * time.Second
	// farewellTimeout bounds the writing of what is left when a session ends.
	farewellTimeout = time.Second
	// keptBuffer is the largest read buffer that is kept from frame to frame.
	keptBuffer = 1 << 20
)

// withoutSource takes the local port out of an error: it differs every time, and with
// it the reason for which the agent says that it is not connected.
func withoutSource(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		op.Source = nil
	}
	return err
}

// wire carries frames. One goroutine may read while another writes.
type wire struct {
	ws     *websocket.Conn
	socket *patient.Conn
	buffer bytes.Buffer
}

// connect opens a network connection, as net.Dialer.DialContext does.
type connect func(ctx context.Context, network, address string) (net.Conn, error)

// dial opens a WebSocket to the hub at base, an https URL. An answer that is not one
// is a *refusal.
func dial(ctx context.Context, base string, config *tls.Config, connect connect) (*wire, error) {
	target, err := syncURL(base)
	if err != nil {
		return nil, err
	}
	w, err := handshake(ctx, target.String(), config, connect)
	if refusal, ok := errors.AsType[*refusal](err); ok {
		return nil, refusal
	}
	if explained := pki.ExplainServer(target.Hostname(), err); explained != nil {
		err = explained
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", base, withoutSource(err))
	}
	return w, nil
}

// handshake opens the WebSocket of target, its URL, within bounds of time and bytes.
func handshake(ctx context.Context, target string, config *tls.Config, connect connect) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var bounded *boundedConn
	var socket *patient.Conn
	release := func() bool { return true }
	dialer := websocket.Dialer{
		HandshakeTimeout: handshakeTimeout,
		Proxy:            http.ProxyFromEnvironment,
		Subprotocols:     []string{protocol.Subprotocol},
		TLSClientConfig:  config,
		NetDialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			conn, err := connect(ctx, network, address)
			if err != nil {
				return nil, err
			}
			// The dialer does not heed ctx while it waits for the hub's answer.
			release = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
			bounded = &boundedConn{Conn: conn, left: maxHandshakeBytes}
			socket = &patient.Conn{Conn: bounded}
			return socket, nil
		},
	}
	ws, response, err := dialer.DialContext(ctx, target, nil)
	release()
	if errors.Is(err, websocket.ErrBadHandshake) {
		body, _ := io.ReadAll(response.Body) // of which the dialer keeps 1 KiB at most
		return nil, refusalFrom(response, body)
	}
	if err != nil {
		return nil, err
	}
	if err := checkAnswer(ws, response); err != nil {
		_ = ws.Close()
		return nil, err
	}
	ws.SetReadLimit(protocol.MaxHubFrameBytes)
	bounded.left = math.MaxInt
	socket.SetPatience(welcomeTimeout)
	return &wire{ws: ws, socket: socket}, nil
}

// checkAnswer refuses what was not offered. Compression is: the library would inflate
// frames without a limit.
func checkAnswer(ws *websocket.Conn, answer *http.Response) error {
	if ws.Subprotocol() != protocol.Subprotocol {
		return fmt.Errorf("%w: it does not speak %s", errProtocol, protocol.Subprotocol)
	}
	if extensions := answer.Header.Values("Sec-WebSocket-Extensions"); len(extensions) > 0 {
		return fmt.Errorf("%w: it chose a WebSocket extension that was not offered", errProtocol)
	}
	return nil
}

// boundedConn is a connection from which no more than some bytes can be read.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, fmt.Errorf("%w: its answer to the handshake is longer than %d bytes", errProtocol, maxHandshakeBytes)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// syncURL makes the address of the sync endpoint from the hub's https URL.
func syncURL(base string) (*url.URL, error) {
	target, err := joinapi.ParseHub(base)
	if err != nil {
		return nil, err
	}
	target.Scheme = "wss"
	return target.JoinPath(protocol.SyncPath), nil
}

// read returns the payload of the next frame. It is valid until the next call.
func (w *wire) read() ([]byte, error) {
	kind, reader, err := w.ws.NextReader()
	if err != nil {
		return nil, withoutSource(err)
	}
	if kind != websocket.BinaryMessage {
		return nil, fmt.Errorf("%w: a frame that is not binary", errProtocol)
	}
	if w.buffer.Cap() > keptBuffer {
		w.buffer = bytes.Buffer{}
	}
	w.buffer.Reset()
	if _, err := w.buffer.ReadFrom(reader); err != nil {
		return nil, withoutSource(err)
	}
	return w.buffer.Bytes(), nil
}

func (w *wire) state() tls.ConnectionState {
	if conn, ok := w.ws.NetConn().(*tls.Conn); ok {
		return conn.ConnectionState()
	}
	return tls.ConnectionState{}
}

func (w *wire) write(frame []byte) error {
	return withoutSource(w.ws.WriteMessage(websocket.BinaryMessage, frame))
}

// ping may have to wait for a write that is under way. How long that may take is for
// the socket to say, as with every write.
func (w *wire) ping() error {
	return w.ws.WriteControl(websocket.PingMessage, nil, time.Time{})
}

// setHeartbeat gives the hub up after two and a half periods of silence.
func (w *wire) setHeartbeat(period time.Duration) {
	w.socket.SetPatience(period * 5 / 2)
}

// expire has everything fail soon, what is under way included.
func (w *wire) expire() { w.socket.Expire(farewellTimeout) }

// close ends the connection; why tells the hub.
func (w *wire) close(why error) {
	code, reason := websocket.CloseGoingAway, why.Error()
	if errors.Is(why, errProtocol) {
		code = websocket.CloseProtocolError
	}
	const maxReason = 123 // what a control frame has room for
	if len(reason) > maxReason {
		reason = oneLine(reason[:maxReason])
	}
	w.expire()
	message := websocket.FormatCloseMessage(code, reason)
	_ = w.ws.WriteControl(websocket.CloseMessage, message, time.Now().Add(farewellTimeout))
	_ = w.ws.Close()
}
