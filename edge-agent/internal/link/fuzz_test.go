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
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/go-logr/logr"
	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// FuzzFrames checks that whatever the hub sends, the answers keep to the protocol.
func FuzzFrames(f *testing.F) {
	for _, messages := range conversations() {
		frame, err := protocol.EncodeHub(messages...)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	l := fuzzedLink(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		messages, err := protocol.DecodeHub(frame)
		if err != nil {
			return
		}
		session := newSession(l, atA, &wire{ws: &websocket.Conn{}}, newOutbox())
		session.phase = greeted
		if err := session.handle(messages); err != nil && !errors.Is(err, errProtocol) {
			t.Fatal(err)
		}
		session.out.finish(errStopped)
		for {
			frame, _, err := session.out.next(epoch)
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := protocol.DecodeAgent(frame); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzSession has a hub send any bytes once the WebSocket is open: the session must come
// to its end, and what the agent says meanwhile must keep to the protocol.
func FuzzSession(f *testing.F) {
	greeting := webSocketFrame(f, websocket.BinaryMessage, encodeHub(f, welcome()))
	f.Add([]byte{})
	f.Add(greeting[:len(greeting)-1])
	for _, messages := range conversations() {
		f.Add(append(bytes.Clone(greeting), webSocketFrame(f, websocket.BinaryMessage, encodeHub(f, messages...))...))
	}
	f.Add(append(bytes.Clone(greeting), webSocketFrame(f, websocket.TextMessage, []byte("hello"))...))
	f.Add(append(bytes.Clone(greeting), webSocketFrame(f, websocket.PingMessage, []byte("ping"))...))
	f.Add(append(bytes.Clone(greeting), webSocketFrame(f, websocket.CloseMessage, []byte{0x0f, 0xa1, 'x'})...))
	f.Add(append(bytes.Clone(greeting), 0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)) // a frame of 16 EiB
	f.Add(append(bytes.Clone(greeting), 0xc2, 0x01, 0x00))                                           // a compressed frame
	l := fuzzedLink(f)
	f.Fuzz(func(t *testing.T, sent []byte) {
		said := make(chan error, 1)
		w, err := handshake(t.Context(), plain, nil, pipe(func(conn net.Conn) { said <- sendAndListen(conn, sent) }))
		if err != nil {
			t.Fatal(err)
		}
		hello, err := l.hello()
		if err != nil {
			t.Fatal(err)
		}
		if err := newSession(l, atA, w, newOutbox()).run(t.Context(), hello); err == nil {
			t.Fatal("the session has no end")
		}
		if err := <-said; err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzAnswer has a hub answer the handshake with any bytes: they must not become more
// than one line of text.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nRetry-After: 99999\r\n\r\nthe node is revoked"))
	f.Add([]byte("HTTP/1.1 307 Elsewhere\r\nLocation: https://b:2\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 503 \x1b[2J\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		_, err := handshake(t.Context(), plain, nil, pipe(func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = conn.Write(answer)
			}
		}))
		refused, ok := errors.AsType[*refusal](err)
		if err == nil {
			t.Fatal("the WebSocket is open")
		}
		unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
		if ok && (strings.ContainsFunc(refused.message, unprintable) || len(refused.message) > protocol.MaxMessageBytes) {
			t.Fatalf("%q", refused.message)
		}
	})
}

// conversations are what a hub may send after its Welcome, and some of what it may not.
func conversations() [][]*pb.HubMessage {
	broken := put(3, configMap("broken", "1"))
	broken.GetPut().Payload = []byte("\xff{")
	compressed := put(2, configMap("z", "1"))
	compress(compressed.GetPut())
	return [][]*pb.HubMessage{
		{put(1, configMap("z", "1")), bookmark(), difference(2, configMap("z", "1"), configMap("z", "2")), del(3, configMap("z", "1"))},
		{difference(1, configMap("y", "1"), configMap("y", "2")), compressed, difference(3, configMap("z", "1"), configMap("z", "2"))},
		{put(1, configMap("a", "2")), put(2, configMap("a", "1")), broken, del(4, configMap("a", "2"))},
		{needInventory(), put(1, configMap("b", "x")), bookmark(), drainTo("https://b:1")},
		{hubInfo("one"), needInventory(), hubInfo("two"), needInventory()},
		{del(2, configMap("a", "1")), del(1, configMap("a", "1")), welcome()},
	}
}

func fuzzedLink(f *testing.F) *Link {
	f.Helper()
	s, err := store.Open(filepath.Join(f.TempDir(), "store.db"), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	return New(Config{
		Hubs:           hubA,
		Store:          s,
		Apply:          func(...object.Key) {},
		HubInfoDigest:  func() object.Digest { return object.Digest{} },
		OnHubInfo:      func(*pb.HubInfo, tls.ConnectionState) error { return errors.New("not now") },
		MaxObjectBytes: 1 << 20,
		Log:            logr.Discard(),
	})
}

func encodeHub(tb testing.TB, messages ...*pb.HubMessage) []byte {
	tb.Helper()
	frame, err := protocol.EncodeHub(messages...)
	if err != nil {
		tb.Fatal(err)
	}
	return frame
}

// webSocketFrame is a frame as a server sends it.
func webSocketFrame(tb testing.TB, kind byte, payload []byte) []byte {
	tb.Helper()
	if len(payload) > 0xffff {
		tb.Fatal("too long")
	}
	header := []byte{0x80 | kind, 126, byte(len(payload) >> 8), byte(len(payload))}
	if len(payload) < 126 {
		header = []byte{0x80 | kind, byte(len(payload))}
	}
	return append(header, payload...)
}

// sendAndListen is a hub that accepts any WebSocket, sends bytes, hangs up, and meanwhile
// checks what it hears.
func sendAndListen(conn net.Conn, sent []byte) error {
	ws, err := upgrade(conn)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				ended <- nil
				return
			}
			if _, err := protocol.DecodeAgent(frame); err != nil {
				ended <- err
				return
			}
		}
	}()
	_, _ = conn.Write(sent)
	_ = conn.Close()
	return <-ended
}
