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
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"
)

// dialFrom connects over TCP from an address of its own.
func (w *world) dialFrom(t *testing.T, address string) net.Conn {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := dialer.Dial("tcp", w.network.Addr().String())
	if err != nil {
		t.Skipf("this machine has no %s to connect from: %v", address, err)
	}
	return conn
}

// Whatever a flood of connections does, it pushes out only its own: a node from
// elsewhere connects each time, at the first attempt.
func TestFloodOfConnections(t *testing.T) {
	const flood, maxPending = 120, 8
	for name, attack := range map[string]func(w *world, conn net.Conn){
		"silent": func(*world, net.Conn) {},
		"before the request": func(w *world, conn net.Conn) {
			_ = tls.Client(conn, &tls.Config{RootCAs: w.ca.Pool(), ServerName: "127.0.0.1"}).Handshake()
		},
		"in the request": func(w *world, conn net.Conn) {
			secure := tls.Client(conn, &tls.Config{RootCAs: w.ca.Pool(), ServerName: "127.0.0.1"})
			_, _ = secure.Write([]byte("GET / HTTP/1.1\r\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newTCP(t))
			w.maxPending = maxPending
			w.restart(newTCP(t))
			w.addNode("edge-1")
			cert := certificate(t, w.ca, "edge-1")
			before := gathered(w.g)
			for i := range flood {
				conn := w.dialFrom(t, "127.0.0.66")
				t.Cleanup(func() { _ = conn.Close() })
				w.background.Go(func() { attack(w, conn) })
				if i%20 != 0 {
					continue
				}
				a, _, err := w.openWith([]tls.Certificate{cert}, func(d *websocket.Dialer, _ http.Header) {
					d.NetDialContext = func(context.Context, string, string) (net.Conn, error) { return w.dialFrom(t, "127.0.0.2"), nil }
				})
				w.g.Expect(err).NotTo(HaveOccurred())
				a.sync(newReplica())
				a.hangUp()
			}
			w.eventually(func() float64 {
				return gathered(w.g)["refused_connections_total pending"] - before["refused_connections_total pending"]
			}).Should(BeNumerically(">=", flood-(1+waitingFactor)*maxPending))
			w.g.Expect(gathered(w.g)["pending_connections"]).To(BeNumerically("<=", maxPending))
		})
	}
}
