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
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// hub accepts agents over real TLS and leaves the conversation to the test.
type hub struct {
	t        testing.TB
	server   *httptest.Server
	accepted chan *peer

	mu     sync.Mutex
	refuse http.HandlerFunc
}

func newHub(t testing.TB) *hub {
	t.Helper()
	h := &hub{t: t, accepted: make(chan *peer, 1)}
	h.server = httptest.NewTLSServer(h)
	t.Cleanup(h.server.Close)
	return h
}

// inBubble runs test with a hub whose connections stay in memory, and with a clock that
// goes on only when nobody has anything to do: no deadline passes because the machine is busy.
func inBubble(t *testing.T, test func(t *testing.T, h *hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, &hub{t: t, accepted: make(chan *peer, 1)}) })
}

// dial connects an agent to a hub of inBubble.
func (h *hub) dial(ctx context.Context, _ string, _ *tls.Config) (*wire, error) {
	return handshake(ctx, plain, nil, func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			ws, err := upgrade(theirs)
			if err != nil {
				h.t.Errorf("upgrade: %v", err)
				return
			}
			select {
			case h.accepted <- &peer{t: h.t, conn: ws}:
			case <-h.t.Context().Done():
				_ = ws.Close()
			}
		}()
		return ours, nil
	})
}

// refuseWith has the hub answer with handler instead; nil ends that.
func (h *hub) refuseWith(handler http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = handler
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	refuse := h.refuse
	h.mu.Unlock()
	if refuse != nil {
		refuse(w, r)
		return
	}
	if r.URL.Path != protocol.SyncPath {
		http.NotFound(w, r)
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		h.t.Errorf("upgrade: %v", err)
		return
	}
	h.accepted <- &peer{t: h.t, conn: conn}
}

func (h *hub) addresses() []string {
	if h.server == nil {
		return []string{atA}
	}
	return []string{h.server.URL}
}

func (h *hub) tls() (*tls.Config, error) {
	if h.server == nil {
		return nil, nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(h.server.Certificate())
	return &tls.Config{RootCAs: roots}, nil
}

// accept waits for the next agent.
func (h *hub) accept() *peer {
	h.t.Helper()
	select {
	case p := <-h.accepted:
		h.t.Cleanup(func() { p.conn.Close() })
		return p
	case <-time.After(patience):
		h.t.Fatal("no agent has connected")
		return nil
	}
}

// greet accepts an agent, reads its Hello and answers with Welcome and more.
func (h *hub) greet(more ...*pb.HubMessage) (*peer, *pb.Hello) {
	h.t.Helper()
	p := h.accept()
	hello := p.next().GetHello()
	if hello == nil {
		h.t.Fatal("the first message is not a Hello")
	}
	p.send(append([]*pb.HubMessage{welcome()}, more...)...)
	return p, hello
}

// peer is the hub's end of one connection.
type peer struct {
	t       testing.TB
	conn    *websocket.Conn
	waiting []*pb.AgentMessage
	// sent are the puts and deletes by sequence.
	sent sync.Map
}

func (p *peer) send(messages ...*pb.HubMessage) {
	p.t.Helper()
	frame, err := p.encode(messages...)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.conn.WriteMessage(websocket.BinaryMessage, frame); err != nil {
		p.t.Fatal(err)
	}
}

// encode makes a frame of messages, and remembers them.
func (p *peer) encode(messages ...*pb.HubMessage) ([]byte, error) {
	for _, message := range messages {
		switch {
		case message.GetPut() != nil:
			p.sent.Store(message.GetPut().GetSequence(), message)
		case message.GetDelete() != nil:
			p.sent.Store(message.GetDelete().GetSequence(), message)
		}
	}
	return protocol.EncodeHub(messages...)
}

// states is what an Applied says, by name.
func (p *peer) states(applied *pb.Applied) map[string]pb.ApplyState {
	states := map[string]pb.ApplyState{}
	for _, r := range applied.GetResults() {
		states[r.GetKey().GetName()] = r.GetState()
	}
	for _, done := range applied.GetDone() {
		for sequence := done.GetFirst(); sequence <= done.GetLast(); sequence++ {
			sent, ok := p.sent.Load(sequence)
			if !ok {
				p.t.Errorf("sequence %d is done, and was never sent", sequence)
				continue
			}
			if put := sent.(*pb.HubMessage).GetPut(); put != nil {
				states[put.GetKey().GetName()] = pb.ApplyState_APPLY_STATE_APPLIED
			} else {
				states[sent.(*pb.HubMessage).GetDelete().GetKey().GetName()] = pb.ApplyState_APPLY_STATE_REMOVED
			}
		}
	}
	return states
}

// next returns the next message of the agent.
func (p *peer) next() *pb.AgentMessage {
	p.t.Helper()
	for len(p.waiting) == 0 {
		if err := p.readFrame(); err != nil {
			p.t.Fatal(err)
		}
	}
	message := p.waiting[0]
	p.waiting = p.waiting[1:]
	return message
}

func (p *peer) readFrame() error {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, frame, err := p.conn.ReadMessage()
	if err != nil {
		return err
	}
	p.waiting, err = protocol.DecodeAgent(frame)
	return err
}

// end reads until the agent ends the connection, and returns how it did.
func (p *peer) end() error {
	p.t.Helper()
	for {
		if err := p.readFrame(); err != nil {
			return err
		}
	}
}

// each gives every further message to visit, until the agent ends the connection; it
// returns how.
func (p *peer) each(visit func(*pb.AgentMessage)) error {
	for {
		for _, message := range p.waiting {
			visit(message)
		}
		if err := p.readFrame(); err != nil {
			return err
		}
	}
}

func (p *peer) nextAck() uint64 {
	p.t.Helper()
	ack := p.next().GetAck()
	if ack == nil {
		p.t.Fatal("the next message is not an Ack")
	}
	return ack.GetCumulative()
}

func (p *peer) nextResults() map[string]pb.ApplyState {
	p.t.Helper()
	applied := p.next().GetApplied()
	if applied == nil {
		p.t.Fatal("the next message is not an Applied")
	}
	return p.states(applied)
}

func (p *peer) close(code int, reason string) {
	_ = p.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience))
	_ = p.conn.Close()
}

// agent is a running Link with a real store.
type agent struct {
	*Link
	// work is what was given to be applied.
	work chan []object.Key
	stop func()
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// startAgent runs a Link that never waits between attempts.
func startAgent(t testing.TB, h *hub, s Store, options ...func(*Config)) *agent {
	t.Helper()
	a := &agent{work: make(chan []object.Key, 100)}
	config := Config{
		Hubs:           h.addresses,
		TLS:            h.tls,
		Store:          s,
		Apply:          func(keys ...object.Key) { a.work <- keys },
		HubInfoDigest:  func() object.Digest { return object.Digest{} },
		AgentVersion:   "v1.2.3",
		BootID:         "boot-1",
		MaxObjectBytes: 1 << 20,
		Log:            logr.Discard(),
	}
	for _, option := range options {
		option(&config)
	}
	a.Link = New(config)
	if h.server == nil {
		a.dial = h.dial
	}
	a.route.random = always(0)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	a.stop = func() { cancel(); <-done }
	t.Cleanup(a.stop)
	return a
}

// hold puts objects into a store as if a hub had sent them.
func hold(g Gomega, s *store.Store, objects ...*object.Object) {
	for _, o := range objects {
		outcomes, err := s.Commit([]store.Op{{Put: &store.Put{Record: store.Record{Object: *o}}}})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(outcomes).To(HaveExactElements(HaveField("Result", store.Stored)))
	}
}

func held(g Gomega, s *store.Store) map[string]string {
	versions := map[string]string{}
	g.Expect(s.ForEach(func(e store.Entry) error {
		versions[e.Name] = e.Version
		return nil
	})).To(Succeed())
	return versions
}

// upgrade makes a connection the WebSocket that its first request asks for.
func upgrade(conn net.Conn) (*websocket.Conn, error) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return nil, err
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
	return upgrader.Upgrade(hijackable{conn}, request, nil)
}

// hijackable is a connection whose request has been read.
type hijackable struct{ net.Conn }

func (h hijackable) Header() http.Header { return http.Header{} }
func (h hijackable) WriteHeader(int)     {}
func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.Conn, bufio.NewReadWriter(bufio.NewReader(h.Conn), bufio.NewWriter(h.Conn)), nil
}
