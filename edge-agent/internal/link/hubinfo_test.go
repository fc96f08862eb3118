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
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// hubInfos keeps what the hub says, as an agent does.
type hubInfos struct {
	mu     sync.Mutex
	known  object.Digest
	taken  []*pb.HubInfo
	states []tls.ConnectionState
	err    error
}

func (h *hubInfos) options(config *Config) {
	config.HubInfoDigest = func() object.Digest {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.known
	}
	config.OnHubInfo = func(info *pb.HubInfo, state tls.ConnectionState) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.taken, h.states = append(h.taken, info), append(h.states, state)
		if h.err == nil {
			h.known = protocol.HubInfoDigest(info)
		}
		return h.err
	}
}

func (h *hubInfos) failWith(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *hubInfos) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, info := range h.taken {
		names = append(names, string(info.GetAuthorities()[0]))
	}
	return names
}

func TestHubInfoIsTakenOverOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, infos := newHub(t), &hubInfos{}
	a := startAgent(t, h, openStore(t), infos.options)
	p, hello := h.greet(hubInfo("one"), hubInfo("one"), bookmark(), hubInfo("two"), hubInfo("two"), put(1, configMap("a", "1")))
	g.Expect(hello.GetHubInfoDigest()).To(BeEmpty())

	g.Expect(p.nextAck()).To(BeEquivalentTo(1))
	g.Expect(infos.names()).To(Equal([]string{"one", "two"}))
	g.Expect(infos.states[0].PeerCertificates).To(ConsistOf(h.server.Certificate()))

	a.Reconnect()
	_, hello = h.greet()
	digest := protocol.HubInfoDigest(hubInfo("two").GetHubInfo())
	g.Expect(hello.GetHubInfoDigest()).To(Equal(digest[:]))
}

func TestHelloSaysWhatTheNewestIdentityKnowsOfTheHub(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, infos := newHub(t), &hubInfos{known: object.Digest{1}}
	startAgent(t, h, openStore(t), infos.options, func(c *Config) {
		c.TLS = func() (*tls.Config, error) {
			infos.mu.Lock()
			defer infos.mu.Unlock()
			infos.known = object.Digest{2}
			return h.tls()
		}
	})
	_, hello := h.greet()
	g.Expect(hello.GetHubInfoDigest()[0]).To(BeEquivalentTo(2))
}

func TestHubInfoThatCannotBeTakenOverIsShown(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, infos := newHub(t), &hubInfos{}
	infos.failWith(errors.New("not a CA"))
	a := startAgent(t, h, openStore(t), infos.options)
	p, _ := h.greet(hubInfo("one"), put(1, configMap("a", "1")))
	g.Expect(p.nextAck()).To(BeEquivalentTo(1), "the session goes on")
	g.Expect(a.Status()).To(And(HaveField("Connected", true), HaveField("HubInfoError", "not a CA")))

	infos.failWith(nil)
	p.send(hubInfo("two"), put(2, configMap("b", "1")))
	g.Expect(p.nextAck()).To(BeEquivalentTo(2))
	g.Expect(a.Status().HubInfoError).To(BeEmpty())
}

func TestHubInfoThatCouldNotBeTakenOverIsTriedAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *hub) {
		g := NewWithT(t)
		infos := &hubInfos{}
		infos.failWith(errors.New("no space left on device"))
		a := startAgent(t, h, openStore(t), infos.options)
		p, _ := h.greet(hubInfo("one"), hubInfo("two"), put(1, configMap("a", "1")))
		g.Expect(p.nextAck()).To(BeEquivalentTo(1))

		g.Expect(p.conn.SetReadDeadline(time.Time{})).To(Succeed())
		go func() { _, _, _ = p.conn.ReadMessage() }() // answers pings
		time.Sleep(hubInfoRetry + time.Second)
		g.Expect(infos.names()).To(Equal([]string{"one", "two", "two"}), "only the last is of any use")
		g.Expect(a.Status().HubInfoError).NotTo(BeEmpty())
		infos.failWith(nil)
		time.Sleep(3 * hubInfoRetry)
		g.Expect(infos.names()).To(Equal([]string{"one", "two", "two", "two"}))
		g.Expect(a.Status()).To(And(HaveField("Connected", true), HaveField("HubInfoError", BeEmpty())))
	})
}

func TestAHubInfoInALoopDoesNotKeepTheDiskBusy(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, infos := newHub(t), &hubInfos{}
	startAgent(t, h, openStore(t), infos.options)
	p, _ := h.greet()
	for range 1000 {
		p.send(hubInfo("the same"))
	}
	for i := range maxHubInfos {
		p.send(hubInfo(fmt.Sprint(i)))
	}
	g.Expect(websocket.IsCloseError(p.end(), websocket.CloseProtocolError)).To(BeTrue())
	g.Expect(infos.names()).To(HaveLen(maxHubInfos))
	h.greet() // and it comes back
}

func TestHubInfoDoesNotLetResultsOvertakeTheInventory(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s, infos := newHub(t), openStore(t), &hubInfos{}
	hold(g, s, configMap("a", "1"))
	a := startAgent(t, h, s, infos.options)
	p, _ := h.greet(hubInfo("one"))
	g.Eventually(infos.names, patience).Should(HaveLen(1))
	a.Report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
	p.send(hubInfo("two"), needInventory())
	g.Expect(p.next().GetInventory()).NotTo(BeNil())
}

func TestHelloCarriesLabels(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHub(t)
	labels := map[string]string{"arch": "arm64", "site": "north"}
	startAgent(t, h, openStore(t), func(c *Config) { c.Labels = labels })
	_, hello := h.greet()
	g.Expect(hello.GetLabels()).To(Equal(labels))
}
