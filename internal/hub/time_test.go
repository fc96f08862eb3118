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
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// inBubble runs a test in which time passes only when nothing else can happen, so that
// it may be asserted exactly, and hours take none.
func inBubble(t *testing.T, test func(t *testing.T, w *world), change ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newPipes(), change...)
		w.addNode("edge-1")
		test(t, w)
	})
}

// endsWithin asserts how long it takes from now until the peer has hung up.
func endsWithin(g *WithT, conn net.Conn, least, most time.Duration) {
	start := time.Now()
	_, _ = io.Copy(io.Discard, conn)
	g.Expect(time.Since(start)).To(And(BeNumerically(">=", least), BeNumerically("<=", most)))
}

// trickle writes one byte of data after another until it fails.
func trickle(conn net.Conn, data []byte, every time.Duration) {
	for i := range data {
		if _, err := conn.Write(data[i : i+1]); err != nil {
			return
		}
		time.Sleep(every)
	}
}

func TestSlowHandshakesAreCutOff(t *testing.T) {
	request := []byte("GET " + protocol.SyncPath + " HTTP/1.1\r\nHost: hub\r\nX-Slow: and so on and so on and so on\r\n\r\n")
	for name, test := range map[string]func(w *world, conn net.Conn){
		"silence before TLS": func(*world, net.Conn) {},
		"a slow TLS handshake": func(w *world, conn net.Conn) {
			// A record that announces 512 bytes.
			w.background.Go(func() { trickle(conn, append([]byte{22, 3, 1, 2, 0}, make([]byte, 512)...), time.Second) })
		},
		"a slow request": func(w *world, conn net.Conn) {
			secure := tls.Client(conn, &tls.Config{RootCAs: w.ca.Pool(), ServerName: "127.0.0.1"})
			w.g.Expect(secure.Handshake()).To(Succeed())
			w.background.Go(func() { trickle(secure, request, time.Second) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(_ *testing.T, w *world) {
				conn, err := w.network.dial()
				w.g.Expect(err).NotTo(HaveOccurred())
				test(w, conn)
				endsWithin(w.g, conn, 0, handshakeTimeout+6*time.Second)
				_ = conn.Close()
			})
		})
	}
}

// pinging pings until the connection fails.
func (a *agent) pinging(every time.Duration) {
	for a.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Hour)) == nil {
		time.Sleep(every)
	}
}

func TestNoHelloIsCutOff(t *testing.T) {
	for name, meanwhile := range map[string]func(*world, *agent){
		"silent":  func(*world, *agent) {},
		"pinging": func(w *world, a *agent) { w.background.Go(func() { a.pinging(time.Second) }) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(_ *testing.T, w *world) {
				a := w.connect("edge-1")
				start := time.Now()
				meanwhile(w, a)
				closed := a.closed()
				w.g.Expect(time.Since(start)).To(Equal(handshakeTimeout))
				w.g.Expect(closed.Code).To(Equal(protocol.CloseProtocol))
				w.g.Expect(closed.Text).To(ContainSubstring("no Hello came in time"))
			})
		})
	}
}

func TestSilentInventoryIsCutOff(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		a := w.connect("edge-1")
		m := hello(newReplica())
		m.GetHello().InventoryCount = 1
		a.send(m)
		a.nextWelcome()
		start := time.Now()
		_ = a.closed()
		w.g.Expect(time.Since(start)).To(Equal(inventoryTimeout))
		w.g.Expect(w.hub.Sessions()).To(BeZero())
	})
}

func TestHeartbeat(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		a, r := w.connect("edge-1"), newReplica()
		a.sync(r)
		a.patience = 2 * time.Hour
		alive := time.Now().Add(time.Hour)
		w.background.Go(func() {
			for time.Now().Before(alive) {
				_ = a.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Hour))
				time.Sleep(49 * time.Second) // just often enough
			}
			w.put(configMap("a", "10", "a"))
		})
		w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}))
		w.settled("edge-1", 1)

		start := time.Now()
		w.eventually(func() int { time.Sleep(time.Second); return w.hub.Sessions() }).WithTimeout(time.Hour).Should(BeZero())
		w.g.Expect(time.Since(start)).To(BeNumerically("~", 50*time.Second, 2*time.Second))
	})
}

// slowly passes what is read in pieces, each after a pause.
type slowly struct {
	net.Conn
	piece int
	pause time.Duration
}

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.Conn.Read(p[:min(len(p), s.piece)])
}

func (w *world) connectSlowly(piece int, pause time.Duration) *agent {
	w.t.Helper()
	a, _, err := w.open("edge-1", func(d *websocket.Dialer, _ http.Header) {
		d.NetDialContext = func(context.Context, string, string) (net.Conn, error) {
			conn, err := w.network.dial()
			return slowly{conn, piece, pause}, err
		}
	})
	w.g.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(a.hangUp)
	return a
}

// On a link where a large object takes longer than any silence may, it arrives.
func TestLargeObjectOnAThinLink(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		item := configMap("large", "10", string(make([]byte, protocol.MaxObjectBytes)))
		a, r := w.connectSlowly(2048, 100*time.Millisecond), newReplica()
		a.sync(r)
		w.background.Go(func() { a.pinging(20 * time.Second) })
		start := time.Now()
		w.put(item)
		a.patience = time.Hour
		messages, err := a.frame()
		w.g.Expect(err).NotTo(HaveOccurred())
		w.g.Expect(time.Since(start)).To(BeNumerically(">", 3*time.Minute))
		w.g.Expect(messages[0].GetPut().GetPayload()).To(HaveLen(protocol.MaxObjectBytes))
		a.send(r.take(messages[0])...)
		w.settled("edge-1", 1)
	})
}

// A peer that pings and does not read is cut off when nothing has moved for as long
// as a silent one.
func TestPeerThatStopsReadingIsCutOff(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		a := w.connect("edge-1")
		a.sync(newReplica())
		w.background.Go(func() { a.pinging(20 * time.Second) })
		w.put(configMap("large", "10", string(make([]byte, 1<<20))))
		start := time.Now()
		w.eventually(func() int { time.Sleep(time.Second); return w.hub.Sessions() }).WithTimeout(time.Hour).Should(BeZero())
		w.g.Expect(time.Since(start)).To(BeNumerically("~", 50*time.Second, 2*time.Second))
		w.g.Expect(w.logs.of("Node disconnected", "timeout")).To(HaveLen(1))
	})
}

// However the writer is stuck, Readmit ends a session within a second.
func TestReadmitOfAPeerThatDoesNotRead(t *testing.T) {
	for name, blocked := range map[string]func(w *world, a *agent){
		"idle": func(w *world, a *agent) { a.sync(newReplica()) },
		"in the middle of an object": func(w *world, a *agent) {
			a.sync(newReplica())
			w.put(configMap("large", "10", string(make([]byte, 1<<20))))
		},
		"between objects": func(w *world, a *agent) {
			a.sync(newReplica())
			for i := range 10 {
				w.put(configMap(fmt.Sprint("a-", i), "10", string(make([]byte, 60<<10))))
			}
			a.nextPut()
		},
		"before the Welcome": func(_ *world, a *agent) { a.send(hello(newReplica())) },
		"before the inventory": func(w *world, a *agent) {
			m := hello(newReplica())
			m.GetHello().InventoryCount = 1
			a.send(m)
			a.nextWelcome()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			inBubble(t, func(t *testing.T, w *world) {
				a := w.connect("edge-1")
				blocked(w, a)
				synctest.Wait()
				w.g.Expect(w.hub.Sessions()).To(Equal(1))
				start := time.Now()
				v.set(&Refusal{Status: 403, Message: "the node is revoked"})
				w.hub.Readmit("edge-1")
				w.hub.running.Wait()
				w.g.Expect(time.Since(start)).To(BeNumerically("<", time.Second))
				w.g.Expect(w.hub.Sessions()).To(BeZero())
			}, func(o *Options) { o.Admit = v.admit })
		})
	}
}

func TestRefusedObjectIsSentAgainLater(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.put(configMap("a", "10", "a"))
		a, r := w.connect("edge-1"), newReplica()
		a.send(hello(r))
		a.nextWelcome()
		for _, delay := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			put := a.nextPut()
			start := time.Now()
			a.send(nack(&pb.Nack{Sequence: put.GetSequence(), Code: pb.NackCode_NACK_CODE_RETRY, Message: "the disk is full"}))
			w.put(configMap("b", "10", start.String()))
			other := a.nextPut()
			w.g.Expect(other.GetKey().GetName()).To(Equal("b"), "others go on")
			a.send(ack(other.GetSequence()))
			next := a.beyond()
			w.g.Expect(time.Since(start)).To(Equal(delay))
			a.queue = append([]*pb.HubMessage{next}, a.queue...)
		}
		put := a.nextPut()
		start := time.Now()
		a.send(nack(&pb.Nack{Sequence: put.GetSequence(), Code: pb.NackCode_NACK_CODE_RETRY, RetryAfterMs: 45_000}))
		put = a.nextPut()
		w.g.Expect(time.Since(start)).To(Equal(45 * time.Second))
		a.send(ack(put.GetSequence()))
		a.nextBookmark()
	})
}
