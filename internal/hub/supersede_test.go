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
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestNewerSessionSupersedes(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	older := w.connect("edge-1")
	older.sync(newReplica())
	newer, r := w.connect("edge-1"), newReplica()
	newer.sync(r)

	closed := older.closed()
	w.g.Expect(closed.Code).To(Equal(protocol.CloseSuperseded))
	w.g.Expect(closed.Text).To(ContainSubstring("newer session"))
	w.put(configMap("a", "10", "a"))
	w.g.Expect(names(newer.follow(r))).To(Equal([]string{"+a", "bookmark"}))
	w.settled("edge-1", 1)
	w.eventually(func() []string { return w.logs.of("Node disconnected") }).Should(HaveLen(1))
	w.g.Expect(w.logs.of("Node connected")).To(HaveLen(2))
}

func TestSessionIsSupersededWhileItOpens(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	r := newReplica()
	r.held[configMap("a", "", "").Object.Key] = object.Holding{UID: "uid-a", Version: "1"}
	older := w.connect("edge-1")
	older.send(hello(r))
	older.nextWelcome()
	w.g.Expect(older.next().GetNeedInventory()).NotTo(BeNil())

	w.connect("edge-1").sync(newReplica())
	w.g.Expect(older.closed().Code).To(Equal(protocol.CloseSuperseded))
	w.eventually(func() []string { return w.logs.of("before its session began", "newer session") }).Should(HaveLen(1))
}

// A connection that says nothing of use takes nothing from the session that there is.
func TestConnectionWithoutHelloSupersedesNothing(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	a, r := w.connect("edge-1"), newReplica()
	a.sync(r)
	intruder := w.connect("edge-1")
	intruder.send(ack(1))
	w.g.Expect(intruder.closed().Code).To(Equal(protocol.CloseProtocol))
	w.put(configMap("a", "10", "a"))
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}))
}

// contender is an agent that runs by itself, on no test's behalf.
type contender struct {
	got   chan string
	ended chan int
}

func (w *world) contend(wg *sync.WaitGroup) *contender {
	c := &contender{got: make(chan string, 1000), ended: make(chan int, 1)}
	wg.Go(func() { c.ended <- c.run(w) })
	return c
}

// run returns the code with which the hub closed the connection; 0 if it did not.
func (c *contender) run(w *world) int {
	a, _, err := w.open("edge-1")
	if err != nil {
		return 0
	}
	defer a.hangUp()
	r := newReplica()
	first, err := protocol.EncodeAgent(hello(r))
	if err == nil {
		err = a.conn.WriteMessage(websocket.BinaryMessage, first)
	}
	for err == nil {
		messages, readErr := a.frame()
		err = readErr
		for _, message := range messages {
			for _, answer := range r.take(message) {
				frame, _ := protocol.EncodeAgent(answer)
				_ = a.conn.WriteMessage(websocket.BinaryMessage, frame)
			}
			if put := message.GetPut(); put != nil {
				c.got <- put.GetKey().GetName()
			}
		}
	}
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return closed.Code
	}
	return 0
}

// However connections of one node race, one session is left, and it is told of what
// changes.
func TestRacingConnectionsLeaveOneThatIsTold(t *testing.T) {
	const rounds, racing = 40, 3
	var v verdict
	w := newWorld(t, newTCP(t), func(o *Options) { o.Admit = v.admit })
	w.addNode("edge-1")
	var wg sync.WaitGroup
	defer wg.Wait()
	defer w.hub.Readmit("edge-1")
	defer v.set(errors.New("the test is over"))
	var alive []*contender
	for round := range rounds {
		for range racing {
			alive = append(alive, w.contend(&wg))
		}
		w.eventually(func() int {
			alive = stillAlive(w, alive)
			return len(alive)
		}).Should(Equal(1), "round %d", round)
		w.eventually(w.hub.Sessions).Should(Equal(1), "round %d", round)

		probe := fmt.Sprint("probe-", round)
		w.put(configMap(probe, fmt.Sprint(100+round), "x"))
		w.eventually(alive[0].got).Should(Receive(Equal(probe)), "round %d", round)
		w.delete(configMap(probe, "", ""), fmt.Sprint(100+round))
	}
}

func stillAlive(w *world, contenders []*contender) []*contender {
	var alive []*contender
	for _, c := range contenders {
		select {
		case code := <-c.ended:
			w.g.Expect(code).To(Equal(protocol.CloseSuperseded))
		default:
			alive = append(alive, c)
		}
	}
	return alive
}

// Whoever is the session of a node in the hub is the one that the index tells.
func TestHubAndIndexAgreeOnTheSession(t *testing.T) {
	g := NewWithT(t)
	index := desired.NewIndex(nil)
	table := index.Watch(configMaps)
	table.Replace(nil, "1")
	index.SetSource(everywhere("configmaps", configMaps))
	index.SetNode("edge-1", nil, desired.NodeSettings{})
	h, err := New(Options{
		Index: index, Observer: newObserver(), ClusterEpoch: epoch,
		Admit: func(context.Context, pki.Peer) error { return nil },
		Info:  func() *pb.HubInfo { return hubInfo },
	})
	g.Expect(err).NotTo(HaveOccurred())
	bare := func() *session {
		near, far := net.Pipe()
		t.Cleanup(func() { _, _ = near.Close(), far.Close() })
		return newSession(h, pki.Peer{Node: pki.Node{Name: "edge-1"}}, "", &wire{socket: &patient.Conn{Conn: near}})
	}

	// A busy index has those who want it overtake one another.
	var churn sync.WaitGroup
	stop := make(chan struct{})
	defer churn.Wait()
	defer close(stop)
	for i := range 4 {
		churn.Go(func() {
			for !closed(stop) {
				index.SetNode(fmt.Sprint("other-", i), nil, desired.NodeSettings{})
			}
		})
	}

	leaving := bare()
	h.enter(leaving)
	for round := range 500 {
		sessions := []*session{bare(), bare(), bare(), bare()}
		var wg sync.WaitGroup
		wg.Go(func() { h.leave(leaving) })
		for _, s := range sessions {
			wg.Go(func() { h.enter(s) })
		}
		wg.Wait()
		table.Upsert(configMap("a", fmt.Sprint(10+round), fmt.Sprint(round)))
		current := h.session("edge-1")
		g.Expect(sessions).To(ContainElement(BeIdenticalTo(current)))
		for _, s := range append(sessions, leaving) {
			told := s.unabsorbed([]object.Key{configMap("a", "", "").Object.Key})
			g.Expect(told).To(Equal(s == current))
		}
		leaving = current
		leaving.changed.keys = nil
	}
}

// A node that is refused after it was admitted, and before there is a session to end,
// is not let in.
func TestNodeIsRevokedBeforeItsHello(t *testing.T) {
	var v verdict
	w := newWorld(t, newTCP(t), func(o *Options) { o.Admit = v.admit })
	w.addNode("edge-1")
	w.put(configMap("a", "10", "a"))
	a := w.connect("edge-1")
	v.set(&Refusal{Status: 403, Message: "the node is revoked"})
	a.send(hello(newReplica()))
	closed := a.closed()
	w.g.Expect(closed.Code).To(Equal(protocol.CloseRefused))
	w.g.Expect(closed.Text).To(Equal("the node is revoked"))
	w.g.Expect(a.frames).To(BeZero())
}
