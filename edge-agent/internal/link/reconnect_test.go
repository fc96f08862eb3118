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
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
)

func TestAnAgentThatIsRefusedSaysWhy(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	h.refuseWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		http.Error(w, "the node is revoked", http.StatusForbidden)
	})
	a := startAgent(t, h, openStore(t))
	g.Eventually(a.Status, patience).Should(And(
		HaveField("Connected", false),
		HaveField("LastError", ContainSubstring("the node is revoked")),
		HaveField("NextAttempt", BeTemporally(">", time.Now().Add(maxRetryAfter-time.Minute)))))
}

func TestASupersededAgentStaysAway(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	a := startAgent(t, h, openStore(t))
	p, _ := h.greet()
	p.close(protocol.CloseSuperseded, "a newer session")
	g.Eventually(a.Status, patience).Should(And(
		HaveField("Connected", false),
		HaveField("LastError", ContainSubstring("another agent connected with this node's identity")),
		HaveField("NextAttempt", BeTemporally(">", time.Now().Add(supersededDelay/2)))))
}

func TestADrainingHubGetsItsAnswersFirst(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, elsewhere := newHub(t), newHub(t)
	a := startAgent(t, h, openStore(t))
	p, _ := h.greet(put(1, configMap("a", "1")), drainTo(elsewhere.server.URL))

	g.Expect(p.nextAck()).To(BeEquivalentTo(1))
	g.Expect(websocket.IsCloseError(p.end(), websocket.CloseGoingAway)).To(BeTrue())
	p, _ = elsewhere.greet(bookmark())
	g.Eventually(a.Status, patience).Should(HaveField("Hub", elsewhere.server.URL))
	p.close(websocket.CloseInternalServerErr, "")
	h.greet()
}

func TestADeadAddressIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dead, h := newHub(t), newHub(t)
	dead.server.Close()
	a := startAgent(t, h, openStore(t), func(c *Config) {
		c.Hubs = func() []string { return []string{dead.server.URL, h.server.URL} }
	})
	p, _ := h.greet()
	g.Eventually(a.Status, patience).Should(And(HaveField("Connected", true), HaveField("Hub", h.server.URL)))
	p.close(websocket.CloseInternalServerErr, "")
	h.greet()
}

func TestOnlyTheAddressOfAHubIsFollowed(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(usable("https://b:1")).To(Equal("https://b:1"))
	g.Expect(usable("http://b:1")).To(BeEmpty())
	g.Expect(usable("https://b:1/x?\x1b[2J")).To(BeEmpty())
}

func TestAHubThatBreaksTheProtocolIsTold(t *testing.T) {
	t.Parallel()
	tooLarge := func(p *peer) {
		_ = p.conn.WriteMessage(websocket.BinaryMessage, make([]byte, protocol.MaxHubFrameBytes+1))
	}
	for name, test := range map[string]struct {
		misbehave func(p *peer)
		code      int
	}{
		"no frame at all":    {func(p *peer) { _ = p.conn.WriteMessage(websocket.BinaryMessage, []byte{1}) }, websocket.CloseProtocolError},
		"a text frame":       {func(p *peer) { _ = p.conn.WriteMessage(websocket.TextMessage, nil) }, websocket.CloseProtocolError},
		"a second welcome":   {func(p *peer) { p.send(welcome()) }, websocket.CloseProtocolError},
		"a falling sequence": {func(p *peer) { p.send(del(2, configMap("a", "1")), del(1, configMap("a", "1"))) }, websocket.CloseProtocolError},
		"too large a frame":  {tooLarge, websocket.CloseMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHub(t)
			startAgent(t, h, openStore(t))
			p, _ := h.greet()
			test.misbehave(p)
			g.Expect(websocket.IsCloseError(p.end(), test.code)).To(BeTrue())
			h.greet() // and it comes back
		})
	}
}

func TestASilentHubIsGivenUp(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	a := startAgent(t, h, openStore(t))
	p := h.accept()
	g.Expect(p.next().GetHello()).NotTo(BeNil())
	hasty := welcome()
	hasty.GetWelcome().HeartbeatSeconds = 1
	p.send(hasty)
	g.Eventually(a.Status, patience).Should(HaveField("Connected", true))

	// The peer reads nothing from now on, and so answers no ping.
	h.greet()
	g.Eventually(a.Status, patience).Should(HaveField("Connected", true))
}

func TestAHubThatAnswersPingsIsKept(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *hub) {
		g := NewWithT(t)
		startAgent(t, h, openStore(t))
		p := h.accept()
		g.Expect(p.next().GetHello()).NotTo(BeNil())
		pings := make(chan struct{})
		answer := p.conn.PingHandler()
		p.conn.SetPingHandler(func(data string) error {
			pings <- struct{}{}
			return answer(data)
		})
		hasty := welcome()
		hasty.GetWelcome().HeartbeatSeconds = 1
		p.send(hasty)
		ended := make(chan error, 1)
		go func() { ended <- p.readFrame() }()
		for range 4 { // for longer than two and a half periods
			select {
			case <-pings:
			case err := <-ended:
				t.Fatal(err)
			}
		}
		p.send(put(1, configMap("a", "1")))
		g.Expect(<-ended).To(Succeed())
	})
}

func TestStopSaysFarewell(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *hub) {
		g := NewWithT(t)
		a := startAgent(t, h, openStore(t))
		p, _ := h.greet(bookmark())
		g.Eventually(a.Status, patience).Should(HaveField("Complete", true))
		go a.stop()
		err := p.end()
		g.Expect(websocket.IsCloseError(err, websocket.CloseGoingAway)).To(BeTrue(), "%v", err)
	})
}

func TestStopDuringTheHandshake(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reached, release := make(chan struct{}), make(chan struct{})
	h.refuseWith(func(http.ResponseWriter, *http.Request) {
		close(reached)
		<-release
	})
	a := startAgent(t, h, openStore(t))
	<-reached
	a.stop() // must not wait for the hub
	close(release)
}

func TestManyReconnectsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	a := startAgent(t, h, s)
	for i := range 100 {
		o := configMap("a", fmt.Sprint(i+1))
		p, hello := h.greet(put(1, o))
		g.Expect(hello.GetInventoryCount()).To(BeEquivalentTo(min(i, 1)))
		g.Expect(p.nextAck()).To(BeEquivalentTo(1))
		<-a.work
		p.conn.Close()
	}
	g.Expect(held(g, s)).To(Equal(map[string]string{"a": "100"}))
}
