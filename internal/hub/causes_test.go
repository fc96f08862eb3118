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
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
)

// dial opens a connection on which nothing has been said. It is closed with the test.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := w.network.dial()
	w.g.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// secure is a TLS connection on which nothing has been asked.
func (w *world) secure(certificates ...tls.Certificate) *tls.Conn {
	w.t.Helper()
	conn := tls.Client(w.dial(), &tls.Config{RootCAs: w.ca.Pool(), ServerName: "127.0.0.1", Certificates: certificates})
	w.g.Expect(conn.Handshake()).To(Succeed())
	return conn
}

// says writes something, and reads until the hub hangs up.
func (w *world) says(conn net.Conn, text string) string {
	w.t.Helper()
	// The hub may hang up before it has read all.
	w.background.Go(func() { _, _ = conn.Write([]byte(text)) })
	answer, _ := io.ReadAll(io.LimitReader(conn, 1<<20))
	return string(answer)
}

// refusedAs asserts the answer to an attempt to open a session.
func (w *world) refusedAs(status int, certificates ...tls.Certificate) {
	w.t.Helper()
	_, response, err := w.openWith(certificates)
	w.g.Expect(err).To(MatchError(websocket.ErrBadHandshake))
	w.g.Expect(response.StatusCode).To(Equal(status))
}

// Each refusal is counted once, under its cause.
func TestCauses(t *testing.T) {
	admission := func(err error) func(*Options) {
		return func(o *Options) { o.Admit = func(context.Context, pki.Peer) error { return err } }
	}
	for name, test := range map[string]struct {
		cause   cause
		options func(*Options)
		happens func(t *testing.T, w *world)
	}{
		"too many pending": {cause: causePending, happens: func(_ *testing.T, w *world) {
			w.maxPending = 1
			w.restart(newPipes())
			first := w.dial()
			w.dial()
			_, err := first.Read(make([]byte, 1))
			w.g.Expect(err).To(MatchError(io.EOF))
		}},
		"silence": {cause: causeTimeout, happens: func(_ *testing.T, w *world) { w.says(w.dial(), "") }},
		"silence after the TLS handshake": {cause: causeTimeout, happens: func(_ *testing.T, w *world) {
			w.says(w.secure(), "")
		}},
		"half a request": {cause: causeTimeout, happens: func(_ *testing.T, w *world) {
			w.says(w.secure(), "GET / HTTP/1.1\r\nHost: h")
		}},
		"no Hello": {cause: causeTimeout, happens: func(_ *testing.T, w *world) { _ = w.connect("edge-1").closed() }},
		"no TLS": {cause: causeHandshake, happens: func(_ *testing.T, w *world) {
			w.g.Expect(w.says(w.dial(), "GET / HTTP/1.1\r\n\r\n")).To(ContainSubstring("400"))
		}},
		"half a TLS handshake": {cause: causeHandshake, happens: func(_ *testing.T, w *world) {
			conn := w.dial()
			_, err := conn.Write([]byte{22, 3, 1, 2, 0})
			w.g.Expect(err).NotTo(HaveOccurred())
			w.g.Expect(conn.Close()).To(Succeed())
		}},
		"an old TLS": {cause: causeHandshake, happens: func(_ *testing.T, w *world) {
			w.g.Expect(tls.Client(w.dial(), &tls.Config{RootCAs: w.ca.Pool(), ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12}).
				Handshake()).NotTo(Succeed())
		}},
		"a certificate of another CA": {cause: causeHandshake, happens: func(t *testing.T, w *world) {
			stranger, err := pki.NewCA(time.Now())
			w.g.Expect(err).NotTo(HaveOccurred())
			foreign := certificate(t, stranger, "edge-1")
			conn := tls.Client(w.dial(), &tls.Config{RootCAs: w.ca.Pool(), ServerName: "127.0.0.1",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign, nil }})
			_ = conn.Handshake() // which is over before the hub has looked at the certificate
			_, err = conn.Read(make([]byte, 1))
			w.g.Expect(err).To(MatchError(ContainSubstring("tls:")))
		}},
		"an endless certificate": {cause: causeHandshake, happens: func(_ *testing.T, w *world) {
			conn := tls.Client(w.dial(), &tls.Config{RootCAs: w.ca.Pool(), ServerName: "127.0.0.1",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &tls.Certificate{
						Certificate: [][]byte{make([]byte, 250_000)}, PrivateKey: certificate(w.t, w.ca, "edge-1").PrivateKey,
					}, nil
				}})
			w.g.Expect(conn.Handshake()).NotTo(Succeed())
		}},
		"no HTTP": {cause: causeRequest, happens: func(_ *testing.T, w *world) {
			w.g.Expect(w.says(w.secure(), "\x00\x01\x02\r\n\r\n")).To(HavePrefix("HTTP/1.1 400"))
		}},
		"an endless header": {cause: causeRequest, happens: func(_ *testing.T, w *world) {
			w.g.Expect(w.says(w.secure(), "GET / HTTP/1.1\r\nHost: hub\r\nX: "+strings.Repeat("x", 1<<20))).To(HavePrefix("HTTP/1.1 431"))
		}},
		"endless headers": {cause: causeRequest, happens: func(_ *testing.T, w *world) {
			w.g.Expect(w.says(w.secure(), "GET / HTTP/1.1\r\nHost: hub\r\n"+strings.Repeat("x:\r\n", 1<<18))).To(HavePrefix("HTTP/1.1 431"))
		}},
		"an endless request line": {cause: causeRequest, happens: func(_ *testing.T, w *world) {
			w.g.Expect(w.says(w.secure(), "GET /"+strings.Repeat("x", 1<<20))).To(HavePrefix("HTTP/1.1 431"))
		}},
		"HTTP/2": {cause: causeRequest, happens: func(_ *testing.T, w *world) {
			w.says(w.secure(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		}},
		"another path": {cause: causeRequest, happens: func(_ *testing.T, w *world) {
			w.g.Expect(w.says(w.secure(), "GET /v1//sync HTTP/1.1\r\nHost: hub\r\n\r\n")).To(HavePrefix("HTTP/1.1 404"))
		}},
		"another method": {cause: causeRequest, happens: func(_ *testing.T, w *world) {
			w.g.Expect(w.says(w.secure(), "POST /v1/sync HTTP/1.1\r\nHost: hub\r\n\r\n")).To(HavePrefix("HTTP/1.1 404"))
		}},
		"no WebSocket": {cause: causeRequest, happens: func(t *testing.T, w *world) {
			w.g.Expect(w.says(w.secure(certificate(t, w.ca, "edge-1")), "GET /v1/sync HTTP/1.1\r\nHost: hub\r\n\r\n")).
				To(HavePrefix("HTTP/1.1 400"))
		}},
		"no certificate": {cause: causeNoCertificate, happens: func(_ *testing.T, w *world) { w.refusedAs(http.StatusUnauthorized) }},
		"an expired certificate": {cause: causeExpired, happens: func(t *testing.T, w *world) {
			cert := certificate(t, w.ca, "edge-1")
			time.Sleep(certificateLifetime + time.Second)
			w.refusedAs(http.StatusUnauthorized, cert)
		}},
		"a certificate that expires": {cause: causeExpired, happens: func(t *testing.T, w *world) {
			cert := certificate(t, w.ca, "edge-1")
			time.Sleep(certificateLifetime - time.Second)
			a, _, err := w.openWith([]tls.Certificate{cert})
			w.g.Expect(err).NotTo(HaveOccurred())
			a.sync(newReplica())
			_ = a.closed()
		}},
		"a hub that shuts down": {cause: causeDraining, happens: func(t *testing.T, w *world) {
			a := w.connect("edge-1")
			a.sync(newReplica())
			w.background.Go(w.stop)
			a.nextDrain()
			w.refusedAs(http.StatusServiceUnavailable, certificate(t, w.ca, "edge-1"))
		}},
		"a full hub": {cause: causeFull, options: func(o *Options) { o.MaxNodes = 1 }, happens: func(t *testing.T, w *world) {
			w.connect("edge-1").sync(newReplica())
			w.refusedAs(http.StatusServiceUnavailable, certificate(t, w.ca, "edge-2"))
		}},
		"an admission that fails": {cause: causeUndecided, options: admission(errors.New("no answer")), happens: func(t *testing.T, w *world) {
			w.refusedAs(http.StatusServiceUnavailable, certificate(t, w.ca, "edge-1"))
		}},
		"a node that is not admitted": {cause: causeAdmission, options: admission(&Refusal{Status: 403, Message: "no"}), happens: func(t *testing.T, w *world) {
			w.refusedAs(http.StatusForbidden, certificate(t, w.ca, "edge-1"))
		}},
		"a newer connection": {cause: causeReplaced, happens: func(_ *testing.T, w *world) {
			older := w.connect("edge-1")
			synctest.Wait()
			newer := w.connect("edge-1")
			_ = older.closed()
			newer.sync(newReplica())
		}},
		"a huge frame": {cause: causeFrame, happens: func(_ *testing.T, w *world) {
			a := w.connect("edge-1")
			w.background.Go(func() { a.raw(websocket.BinaryMessage, make([]byte, protocol.MaxAgentFrameBytes+1)) })
			w.g.Expect(a.closed().Code).To(Equal(websocket.CloseMessageTooBig))
		}},
		"garbage": {cause: causeProtocol, happens: func(_ *testing.T, w *world) {
			a := w.connect("edge-1")
			a.raw(websocket.BinaryMessage, []byte("\xff"))
			_ = a.closed()
		}},
		"garbage under the WebSocket": {cause: causeProtocol, happens: func(_ *testing.T, w *world) {
			a := w.connect("edge-1")
			_, err := a.conn.NetConn().Write([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
			w.g.Expect(err).NotTo(HaveOccurred())
			w.g.Expect(a.closed().Code).To(Equal(websocket.CloseProtocolError))
		}},
		"another version": {cause: causeProtocol, happens: func(_ *testing.T, w *world) {
			a := w.connect("edge-1")
			m := hello(newReplica())
			m.GetHello().ProtocolVersions = []uint32{7}
			a.send(m)
			_ = a.closed()
		}},
		"a handler that panics": {cause: causePanic, happens: func(_ *testing.T, w *world) {
			w.join = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("join") })
			w.restart(newPipes())
			w.g.Expect(w.says(w.secure(), "POST "+joinapi.Path+" HTTP/1.1\r\nHost: hub\r\n\r\n")).To(BeEmpty())
			w.g.Expect(w.logs.of("has panicked", "causes_test.go")).To(HaveLen(1))
		}},
		"a look at the port": {cause: "", happens: func(_ *testing.T, w *world) { w.g.Expect(w.dial().Close()).To(Succeed()) }},
		"a look at the TLS":  {cause: "", happens: func(_ *testing.T, w *world) { w.g.Expect(w.secure().Close()).To(Succeed()) }},
		"an honest node": {cause: "", happens: func(_ *testing.T, w *world) {
			a := w.connect("edge-1")
			a.sync(newReplica())
			a.hangUp()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			change := test.options
			if change == nil {
				change = func(*Options) {}
			}
			var before, after map[string]float64
			inBubble(t, func(t *testing.T, w *world) {
				before = gathered(w.g)
				test.happens(t, w)
				synctest.Wait()
				time.Sleep(time.Second) // the end of a connection may wait for its peer
				after = gathered(w.g)
				w.g.Expect(after["pending_connections"]).To(BeNumerically("<=", 1))
			}, change)
			g := NewWithT(t)
			for _, why := range causes {
				name, more := fmt.Sprint("refused_connections_total ", why), 0.0
				if why == test.cause {
					more = 1
				}
				g.Expect(after[name]-before[name]).To(Equal(more), name)
			}
			g.Expect(gathered(g)["pending_connections"]).To(BeZero())
		})
	}
}
