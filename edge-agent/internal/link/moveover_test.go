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
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// reconnectAtOnce calls Reconnect from several goroutines.
func reconnectAtOnce(a *agent) {
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(a.Reconnect)
	}
	calls.Wait()
}

func TestReconnectAnswersFirstAndAsksForTheIdentityAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *hub) {
		g := NewWithT(t)
		identities := make(chan struct{}, 10)
		a := startAgent(t, h, openStore(t), func(c *Config) {
			identity := c.TLS
			c.TLS = func() (*tls.Config, error) {
				identities <- struct{}{}
				return identity()
			}
		})
		p, _ := h.greet(bookmark(), put(1, configMap("a", "1")))
		g.Expect(p.nextAck()).To(BeEquivalentTo(1))
		a.Report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
		a.Reconnect()

		g.Expect(p.nextResults()).To(HaveLen(1))
		err := p.end()
		g.Expect(websocket.IsCloseError(err, websocket.CloseGoingAway)).To(BeTrue(), "%v", err)
		g.Expect(err).To(MatchError(ContainSubstring("connects anew")))
		h.greet(bookmark())
		g.Eventually(a.Status, patience).Should(And(HaveField("Connected", true), HaveField("LastError", BeEmpty())))
		g.Expect(identities).To(HaveLen(2))
	})
}

func TestReconnectDoesNotWait(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	a := startAgent(t, h, openStore(t))
	p, _ := h.greet()
	p.close(protocol.CloseSuperseded, "")
	g.Eventually(a.Status, patience).Should(HaveField("NextAttempt", BeTemporally(">", time.Now().Add(supersededDelay/2))))
	a.Reconnect()
	h.greet()
}

func TestReconnectIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		failed := ending{err: errors.New("gone")}
		script := &attempts{endings: []ending{failed, failed, failed, failed}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		script.done = cancel
		l := New(Config{Hubs: hubA})
		l.route.random = always(1)
		l.attempt = func(ctx context.Context, hub string) ending {
			if len(script.times) == 2 { // while an attempt is under way
				l.Reconnect()
				l.Reconnect()
			}
			return script.next(ctx, hub)
		}
		time.AfterFunc(time.Millisecond, l.Reconnect) // while it waits
		g.Expect(l.Run(ctx)).To(Succeed())
		g.Expect(script.delays()).To(Equal([]time.Duration{time.Millisecond, 500 * time.Millisecond, 0, 500 * time.Millisecond}))
	})
}

func TestReconnectFromOnHubInfo(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, infos := newHub(t), &hubInfos{}
	var a *agent
	started := make(chan struct{})
	a = startAgent(t, h, openStore(t), infos.options, func(c *Config) {
		takeOver := c.OnHubInfo
		c.OnHubInfo = func(info *pb.HubInfo, state tls.ConnectionState) error {
			<-started
			a.Reconnect()
			return takeOver(info, state)
		}
	})
	close(started)
	p, _ := h.greet(hubInfo("one"), put(1, configMap("a", "1")))
	_ = p.end()
	_, hello := h.greet()
	g.Expect(hello.GetHubInfoDigest()).NotTo(BeEmpty())
}

func TestReconnectDuringTheHandshake(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reached, release := make(chan struct{}), make(chan struct{})
	h.refuseWith(func(http.ResponseWriter, *http.Request) {
		close(reached)
		<-release
	})
	a := startAgent(t, h, openStore(t))
	<-reached
	h.refuseWith(nil)
	a.Reconnect() // must not wait for the hub
	h.greet()
	close(release)
}

func TestReconnectBeforeRun(t *testing.T) {
	t.Parallel()
	New(Config{Hubs: hubA}).Reconnect() // has nothing to do
}

// appliedTarget applies at once what it is given, as the engine does: it notes the state
// down in the store, then reports it.
type appliedTarget struct {
	store *store.Store
	link  func() *Link
	given map[string]int
}

func (t *appliedTarget) apply(keys ...object.Key) {
	var changes []store.StateChange
	var results []*pb.ApplyResult
	for _, key := range keys {
		t.given[key.Name]++
		entry, _, err := t.store.Peek(key)
		if err != nil {
			panic(err)
		}
		entry.State = store.Applied
		changes = append(changes, store.StateChange{Key: key, Revision: entry.Revision, State: entry.State})
		results = append(results, resultOf(&entry))
	}
	if err := t.store.SetStates(changes); err != nil {
		panic(err)
	}
	t.link().Report(results...)
}

// countingPuts counts how often each object was stored.
type countingPuts struct {
	*store.Store
	stored map[string]int
}

func (s *countingPuts) Commit(ops []store.Op) ([]store.Outcome, error) {
	for _, op := range ops {
		s.stored[op.Put.Key.Name]++
	}
	return s.Store.Commit(ops)
}

// stream is a hub that never runs out of new objects. It knows what the agent has told.
type stream struct {
	objects []*object.Object
	acked   map[string]bool
	states  map[string]pb.ApplyState
}

// resume takes the inventory in, and returns what is to be sent again.
func (s *stream) resume(g Gomega, p *peer) (missing []*object.Object) {
	held := map[string]bool{}
	for last := false; !last; {
		inventory := p.next().GetInventory()
		g.Expect(inventory).NotTo(BeNil())
		for _, entry := range inventory.GetEntries() {
			held[entry.GetKey().GetName()] = true
			s.states[entry.GetKey().GetName()] = entry.GetState()
		}
		last = inventory.GetLast()
	}
	for name := range s.acked {
		if !held[name] {
			g.Expect(name).To(BeEmpty(), "it was acknowledged and is not held")
		}
	}
	for _, o := range s.objects {
		if !held[o.Name] {
			missing = append(missing, o)
		}
	}
	return missing
}

// send sends the missing objects and then, if more, new ones until the connection ends,
// with a window of what is not acknowledged. It returns what it sent once it is done.
func (s *stream) send(p *peer, missing []*object.Object, more bool, window chan struct{}) (sent []*object.Object) {
	for more || len(missing) > 0 {
		if len(missing) == 0 {
			o := configMap(fmt.Sprintf("object-%d", len(s.objects)), "1")
			s.objects, missing = append(s.objects, o), append(missing, o)
		}
		window <- struct{}{}
		frame, err := p.encode(put(uint64(len(sent)+1), missing[0]))
		sent, missing = append(sent, missing[0]), missing[1:]
		if err != nil || p.conn.WriteMessage(websocket.BinaryMessage, frame) != nil {
			break // the reader says why
		}
	}
	return sent
}

// serve converses with p until the agent ends it. after is called after each message.
func (s *stream) serve(g Gomega, p *peer, more bool, after func()) {
	missing := s.resume(g, p)
	window, sent := make(chan struct{}, 100), make(chan []*object.Object, 1)
	go func() { sent <- s.send(p, missing, more, window) }()
	acked := uint64(0)
	err := p.each(func(message *pb.AgentMessage) {
		maps.Copy(s.states, p.states(message.GetApplied()))
		for ; acked < message.GetAck().GetCumulative(); acked++ {
			<-window
		}
		after()
	})
	g.Expect(websocket.IsCloseError(err, websocket.CloseGoingAway)).To(BeTrue(), "%v", err)
	_ = p.conn.Close()
	for {
		select {
		case <-window:
		case sent := <-sent:
			for _, o := range sent[:acked] {
				s.acked[o.Name] = true
			}
			return
		}
	}
}

func TestAStreamOfPutsMovesOverFiftyTimes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *hub) {
		g := NewWithT(t)
		hub := &stream{states: map[string]pb.ApplyState{}, acked: map[string]bool{}}
		s := &countingPuts{Store: openStore(t), stored: map[string]int{}}
		var a *agent
		started := make(chan struct{})
		target := &appliedTarget{store: s.Store, given: map[string]int{}, link: func() *Link { <-started; return a.Link }}
		a = startAgent(t, h, s, func(c *Config) { c.Apply = target.apply })
		close(started)

		for range 50 {
			p, _ := h.greet(needInventory())
			var once sync.Once
			hub.serve(g, p, true, func() { once.Do(func() { reconnectAtOnce(a) }) })
		}
		hub.objects = append(hub.objects, configMap("last", "1"))
		p, _ := h.greet(needInventory())
		hub.serve(g, p, false, func() {
			if hub.states["last"] == pb.ApplyState_APPLY_STATE_APPLIED {
				go a.stop()
			}
		})
		a.stop()

		once, applied := map[string]int{}, map[string]pb.ApplyState{}
		for _, o := range hub.objects {
			once[o.Name], applied[o.Name] = 1, pb.ApplyState_APPLY_STATE_APPLIED
		}
		t.Logf("%d objects", len(once))
		g.Expect(s.stored).To(Equal(once))
		g.Expect(target.given).To(Equal(once))
		g.Expect(hub.states).To(Equal(applied))
		g.Expect(held(g, s.Store)).To(HaveLen(len(once)))
	})
}
