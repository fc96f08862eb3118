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
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
)

// plain is the address of a hub without TLS, for handshakes over pipes.
const plain = "ws://hub" + protocol.SyncPath

// pipe connects to hub, which runs until the connection ends.
func pipe(hub func(conn net.Conn)) connect {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer func() { _ = theirs.Close() }()
			hub(theirs)
		}()
		return ours, nil
	}
}

func TestAHandshakeTakesTenSecondsAtMost(t *testing.T) {
	t.Parallel()
	readRequest := func(conn net.Conn) {
		buffer := make([]byte, 4096)
		_, _ = conn.Read(buffer)
	}
	for name, hub := range map[string]func(conn net.Conn, ended <-chan struct{}){
		"deaf": func(_ net.Conn, ended <-chan struct{}) { <-ended },
		"silent": func(conn net.Conn, ended <-chan struct{}) {
			readRequest(conn)
			<-ended
		},
		"slow": func(conn net.Conn, _ <-chan struct{}) {
			readRequest(conn)
			for _, c := range bytes.Repeat([]byte("HTTP/1.1 101 Switching Protocols\r\n"), 1000) {
				time.Sleep(time.Second)
				if _, err := conn.Write([]byte{c}); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				ended, hubEnded := make(chan struct{}), make(chan struct{})
				start := time.Now()
				_, err := handshake(t.Context(), plain, nil, pipe(func(conn net.Conn) {
					defer close(hubEnded)
					hub(conn, ended)
				}))
				g.Expect(err).To(HaveOccurred())
				g.Expect(time.Since(start)).To(Equal(handshakeTimeout))
				close(ended)
				<-hubEnded
			})
		})
	}
}

// answerWith makes every handshake at h fail with bytes of its choice.
func answerWith(h *hub, write func(conn net.Conn) error) {
	h.refuseWith(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			h.t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		for write(conn) == nil {
		}
	})
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ head, loop, outcome string }{
		"line":              {"", "HTTP/1.1 ", "malformed"},
		"header":            {"HTTP/1.1 503 Full\r\n", "X-More: of the same\r\n", "longer than 524288 bytes"},
		"continued header":  {"HTTP/1.1 503 Full\r\nX-More: of\r\n", " the same\r\n", "longer than 524288 bytes"},
		"header of success": {"HTTP/1.1 101 Switching Protocols\r\n", "X-More: of the same\r\n", "longer than 524288 bytes"},
		"chunk":             {"HTTP/1.1 503 Full\r\nTransfer-Encoding: chunked\r\n\r\n", "1;" + long(1000), "HTTP 503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHub(t)
			next := []byte(test.head)
			answerWith(h, func(conn net.Conn) error {
				_, err := conn.Write(next)
				next = bytes.Repeat([]byte(test.loop), 100)
				return err
			})
			config, err := h.tls()
			g.Expect(err).NotTo(HaveOccurred())
			_, err = dial(t.Context(), h.server.URL, config, dialAny)
			g.Expect(err).To(MatchError(ContainSubstring(test.outcome)))
		})
	}
}

func TestTheBodyOfARefusalIsCutOff(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	h.refuseWith(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		for {
			if _, err := w.Write([]byte(long(1000))); err != nil {
				return
			}
		}
	})
	config, err := h.tls()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = dial(t.Context(), h.server.URL, config, dialAny)
	refused, ok := errors.AsType[*refusal](err)
	g.Expect(ok).To(BeTrue(), "%v", err)
	g.Expect(refused.message).To(Equal(long(1024)))
}

func TestHTTPRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	h.refuseWith(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != protocol.SyncPath {
			t.Errorf("a request for %s", r.URL)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	config, err := h.tls()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = dial(t.Context(), h.server.URL, config, dialAny)
	g.Expect(err).To(MatchError(ContainSubstring("HTTP 307")))
}

// TestCompressionThatWasNotOfferedIsRefused: four megabytes of frame would become four
// gigabytes of memory.
func TestCompressionThatWasNotOfferedIsRefused(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	h.refuseWith(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
		upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}, EnableCompression: true}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	})
	config, err := h.tls()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = dial(t.Context(), h.server.URL, config, dialAny)
	g.Expect(err).To(MatchError(ContainSubstring("extension that was not offered")))
}

func TestAHubThatDoesNotSpeakTheProtocolIsLeft(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	h.refuseWith(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	})
	config, err := h.tls()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = dial(t.Context(), h.server.URL, config, dialAny)
	g.Expect(err).To(MatchError(ContainSubstring("does not speak " + protocol.Subprotocol)))
}

func TestAHubThatCannotBeVerifiedIsExplained(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, err := dial(t.Context(), h.server.URL, &tls.Config{RootCAs: x509.NewCertPool()}, dialAny)
	NewWithT(t).Expect(err).To(MatchError(And(HavePrefix("connect to "+h.server.URL), ContainSubstring("it has to join again"))))
}
