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
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
)

func TestExpiredCertificateIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		cert := certificate(t, w.ca, "edge-1")
		time.Sleep(certificateLifetime + time.Second)
		_, response, err := w.openWith([]tls.Certificate{cert})
		w.g.Expect(err).To(MatchError(websocket.ErrBadHandshake))
		w.g.Expect(response.StatusCode).To(Equal(http.StatusUnauthorized))
		w.g.Expect(body(w.g, response)).To(Equal("the certificate expired at 2000-01-02T00:00:00Z: the agent renews it"))
	})
}

func TestSessionEndsWithItsCertificate(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		start := time.Now()
		a := w.connect("edge-1")
		a.sync(newReplica())
		a.patience = 2 * certificateLifetime
		w.background.Go(func() { a.pinging(45 * time.Second) })
		closed := a.closed()
		w.g.Expect(time.Since(start)).To(Equal(certificateLifetime))
		w.g.Expect(closed.Code).To(Equal(protocol.CloseRefused))
		w.g.Expect(closed.Text).To(Equal("the certificate expired at 2000-01-02T00:00:00Z: the agent renews it"))
		w.eventually(w.hub.Sessions).Should(BeZero())
	})
}

// verdict is an admission that can change its mind.
type verdict struct{ err atomic.Pointer[error] }

func (v *verdict) set(err error) { v.err.Store(&err) }

func (v *verdict) admit(context.Context, pki.Peer) error {
	if err := v.err.Load(); err != nil {
		return *err
	}
	return nil
}

func TestReadmit(t *testing.T) {
	inventory := func(w *world, a *agent) {
		r := newReplica()
		r.held[configMap("z", "", "").Object.Key] = object.Holding{UID: "z"}
		a.send(hello(r))
		a.nextWelcome()
		w.g.Expect(a.next().GetNeedInventory()).NotTo(BeNil())
	}
	revoked := &Refusal{Status: http.StatusForbidden, Message: "the node is revoked"}
	for name, test := range map[string]struct {
		until  func(*world, *agent)
		now    error
		code   int
		reason string
	}{
		"a session":            {func(_ *world, a *agent) { a.sync(newReplica()) }, revoked, protocol.CloseRefused, revoked.Message},
		"before its Hello":     {func(*world, *agent) {}, revoked, protocol.CloseRefused, revoked.Message},
		"before its inventory": {inventory, revoked, protocol.CloseRefused, revoked.Message},
		"undecided": {func(_ *world, a *agent) { a.sync(newReplica()) }, errors.New("dial 10.0.0.1: secret"),
			protocol.CloseRefused, "the hub cannot decide now"},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			inBubble(t, func(_ *testing.T, w *world) {
				w.hub.Readmit("nobody")
				a := w.connect("edge-1")
				test.until(w, a)
				synctest.Wait()
				w.hub.Readmit("edge-1")
				synctest.Wait()

				v.set(test.now)
				start := time.Now()
				w.hub.Readmit("edge-1")
				w.hub.Readmit("edge-1")
				closed := a.closed()
				w.g.Expect(time.Since(start)).To(BeNumerically("<", time.Second))
				w.g.Expect(closed.Code).To(Equal(test.code))
				w.g.Expect(closed.Text).To(Equal(test.reason))
				w.hub.running.Wait()
				w.g.Expect(w.hub.connectionsOf("edge-1")).To(BeEmpty())
				w.g.Expect(w.logs.of(`"reason":"` + test.reason + `"`)).To(HaveLen(1))
			}, func(o *Options) { o.Admit = v.admit })
		})
	}
}

// A node that is still admitted notices nothing, and neither do others.
func TestReadmitAsksAboutThePeer(t *testing.T) {
	var asked atomic.Pointer[pki.Peer]
	w := newWorld(t, newTCP(t), func(o *Options) {
		o.Admit = func(_ context.Context, peer pki.Peer) error {
			asked.Store(&peer)
			return nil
		}
	})
	w.addNode("edge-1")
	a, r := w.connect("edge-1"), newReplica()
	a.sync(r)
	asked.Store(nil)
	w.hub.Readmit("edge-1")
	w.g.Expect(asked.Load()).To(HaveValue(HaveField("Node", pki.Node{Name: "edge-1", UID: "uid", Join: 1})))
	w.g.Expect(asked.Load().Certificate).NotTo(BeNil())
	w.put(configMap("a", "10", "a"))
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}))
}

func TestReadmitAll(t *testing.T) {
	var refuse atomic.Bool
	w := newWorld(t, newTCP(t), func(o *Options) {
		o.Admit = func(_ context.Context, peer pki.Peer) error {
			if refuse.Load() && peer.Name != "edge-1" {
				return &Refusal{Status: http.StatusForbidden, Message: "no"}
			}
			return nil
		}
	})
	w.addNode("edge-1")
	stays, r := w.connect("edge-1"), newReplica()
	stays.sync(r)
	w.addNode("edge-2")
	goes := w.connect("edge-2")
	goes.sync(newReplica())
	opening := w.connect("edge-3") // says no Hello
	w.eventually(func() []*session { return w.hub.connectionsOf("edge-3") }).Should(HaveLen(1))

	refuse.Store(true)
	w.hub.ReadmitAll()

	w.g.Expect(goes.closed().Text).To(Equal("no"))
	w.g.Expect(opening.closed().Text).To(Equal("no"))
	w.put(configMap("a", "10", "a"))
	w.g.Expect(names(stays.follow(r))).To(Equal([]string{"+a", "bookmark"}))
}

// While Admit decides, which may take seconds, the hub serves others.
func TestAdmitIsAskedWithoutTheLock(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	w := newWorld(t, newTCP(t), func(o *Options) {
		o.Admit = func(_ context.Context, node pki.Peer) error {
			if node.Name == "edge-1" {
				asked <- struct{}{}
				<-answer
			}
			return nil
		}
	})
	w.addNode("edge-2")
	w.background.Go(func() {
		if a, _, err := w.open("edge-1"); err == nil {
			a.hangUp()
		}
	})
	<-asked
	w.connect("edge-2").sync(newReplica())
	w.g.Expect(w.hub.Sessions()).To(Equal(1))
	close(answer)
}

// Of the connections of one node whose Hello is to come, the newest is kept.
func TestOneConnectionOfANodeWaitsForItsHello(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	serving, r := w.connect("edge-1"), newReplica()
	serving.sync(r)
	before := gathered(w.g)
	older := w.connect("edge-1")
	w.eventually(func() []*session { return w.hub.connectionsOf("edge-1") }).Should(HaveLen(2))
	newer := w.connect("edge-1")
	closed := older.closed()
	w.g.Expect(closed.Code).To(Equal(protocol.CloseSuperseded))
	w.g.Expect(closed.Text).To(Equal("the node has opened a newer connection"))
	w.eventually(func() float64 {
		return gathered(w.g)["refused_connections_total replaced"] - before["refused_connections_total replaced"]
	}).Should(BeEquivalentTo(1))

	w.put(configMap("a", "10", "a"))
	w.g.Expect(names(serving.follow(r))).To(Equal([]string{"+a", "bookmark"}), "the session goes on")
	newer.sync(r)
	w.g.Expect(serving.closed().Code).To(Equal(protocol.CloseSuperseded))
}
