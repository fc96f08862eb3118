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

package command

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// patience is how long a test waits for what must come.
	patience = 20 * time.Second
	// heartbeatSeconds is more than any test takes.
	heartbeatSeconds = 60
)

var someToken = "abcd1234." + strings.Repeat("a", 52)

// hub certifies whoever asks, and leaves the sessions to the test.
type hub struct {
	t        *testing.T
	ca       *pki.CA
	address  string
	listener net.Listener
	sessions chan *session
	// lifetime is that of the certificates of nodes that join.
	lifetime time.Duration
	// renew answers renewals; unless it is set, there are none.
	renew atomic.Pointer[http.HandlerFunc]
}

func newHub(t *testing.T) *hub {
	t.Helper()
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return newHubOf(t, ca)
}

// newHubOf is another hub of the CA.
func newHubOf(t *testing.T, ca *pki.CA) *hub {
	t.Helper()
	certificate, err := pki.NewServingCertificate(pki.NewAuthority(ca), []string{"127.0.0.1"}, time.Hour, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", pki.ServerTLSConfig(certificate))
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{
		t: t, ca: ca, listener: listener,
		address: "https://" + listener.Addr().String(), sessions: make(chan *session, 100),
		lifetime: time.Hour,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+joinapi.Path, h.join)
	mux.HandleFunc("POST "+joinapi.RenewPath, func(w http.ResponseWriter, r *http.Request) {
		if answer := h.renew.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("GET "+protocol.SyncPath, h.sync)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return h
}

func (h *hub) join(w http.ResponseWriter, r *http.Request) {
	var request joinapi.Request
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		h.t.Error(err)
		return
	}
	h.issue(w, request.CSR, pki.Node{Name: request.Node, UID: "uid", Join: 1}, h.lifetime)
}

// renewing lets nodes renew their certificates, for an hour.
func (h *hub) renewing(w http.ResponseWriter, r *http.Request) {
	var request joinapi.RenewRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		h.t.Error(err)
		return
	}
	peer, err := pki.PeerOf(r.TLS)
	if err != nil {
		h.t.Error(err)
		return
	}
	h.issue(w, request.CSR, peer.Node, time.Hour)
}

func (h *hub) setRenew(answer http.HandlerFunc) { h.renew.Store(&answer) }

func (h *hub) issue(w http.ResponseWriter, csr string, node pki.Node, lifetime time.Duration) {
	key, err := pki.RequestKey([]byte(csr))
	if err != nil {
		h.t.Error(err)
		return
	}
	cert, err := h.ca.IssueNode(node, key, lifetime, time.Now())
	if err != nil {
		h.t.Error(err)
		return
	}
	_ = json.NewEncoder(w).Encode(joinapi.Response{
		Certificate: string(pki.EncodeCertificate(cert)), CA: string(h.ca.CertificatePEM()),
	})
}

func (h *hub) sync(w http.ResponseWriter, r *http.Request) {
	node, err := pki.PeerOf(r.TLS)
	if err != nil {
		h.t.Error(err)
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		h.t.Error(err)
		return
	}
	h.sessions <- &session{t: h.t, node: node.Name, serial: node.Certificate.SerialNumber.String(), conn: conn, sent: map[uint64]*pb.HubMessage{}}
}

// session is the hub's end of one connection.
type session struct {
	t       *testing.T
	node    string
	serial  string // that of the certificate
	conn    *websocket.Conn
	waiting []*pb.AgentMessage
	// sent are the puts and deletes by sequence.
	sent map[uint64]*pb.HubMessage
}

// greet waits for an agent, and welcomes it.
func (h *hub) greet() (*session, *pb.Hello) {
	h.t.Helper()
	var s *session
	select {
	case s = <-h.sessions:
	case <-time.After(patience):
		h.t.Fatal("no agent has connected")
	}
	h.t.Cleanup(func() { s.conn.Close() })
	hello := s.next().GetHello()
	s.send(&pb.HubMessage{Body: &pb.HubMessage_Welcome{Welcome: &pb.Welcome{
		ProtocolVersion: protocol.Version, Session: "s", ClusterEpoch: "c", HeartbeatSeconds: heartbeatSeconds,
	}}})
	return s, hello
}

func (s *session) send(messages ...*pb.HubMessage) {
	s.t.Helper()
	for _, message := range messages {
		s.sent[max(message.GetPut().GetSequence(), message.GetDelete().GetSequence())] = message
	}
	frame, err := protocol.EncodeHub(messages...)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.conn.WriteMessage(websocket.BinaryMessage, frame); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) next() *pb.AgentMessage {
	s.t.Helper()
	for len(s.waiting) == 0 {
		if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			s.t.Fatal(err)
		}
		_, frame, err := s.conn.ReadMessage()
		if err != nil {
			s.t.Fatal(err)
		}
		if s.waiting, err = protocol.DecodeAgent(frame); err != nil {
			s.t.Fatal(err)
		}
	}
	message := s.waiting[0]
	s.waiting = s.waiting[1:]
	return message
}

// results reads until there are results for count objects, and returns the last of each.
func (s *session) results(count int) map[string]*pb.ApplyResult {
	s.t.Helper()
	results := map[string]*pb.ApplyResult{}
	for len(results) < count {
		applied := s.next().GetApplied()
		for _, result := range append(applied.GetResults(), s.done(applied.GetDone())...) {
			results[result.GetKey().GetName()] = result
		}
	}
	return results
}

// done are the results that ranges of sequences stand for.
func (s *session) done(ranges []*pb.SequenceRange) (results []*pb.ApplyResult) {
	for _, done := range ranges {
		for sequence := done.GetFirst(); sequence <= done.GetLast(); sequence++ {
			result := &pb.ApplyResult{Key: s.sent[sequence].GetPut().GetKey(), State: pb.ApplyState_APPLY_STATE_APPLIED}
			if del := s.sent[sequence].GetDelete(); del != nil {
				result = &pb.ApplyResult{Key: del.GetKey(), State: pb.ApplyState_APPLY_STATE_REMOVED}
			}
			results = append(results, result)
		}
	}
	return results
}

func configMap(t *testing.T, name string) *object.Object {
	t.Helper()
	payload, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": "shop"},
		"data":     map[string]string{"color": "green"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &object.Object{
		Key:        object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name},
		APIVersion: "v1", Resource: "configmaps",
		UID: "uid-" + name[:1], Version: "1",
		Digest: object.DigestOf(payload), Payload: payload,
	}
}

func put(sequence uint64, o *object.Object) *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Put{Put: &pb.Put{
		Sequence: sequence, Key: protocol.KeyToPB(o.Key), Uid: o.UID, Version: o.Version,
		ApiVersion: o.APIVersion, Resource: o.Resource, Encoding: pb.Encoding_ENCODING_JSON, Payload: o.Payload,
	}}}
}

func remove(sequence uint64, o *object.Object) *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Delete{Delete: &pb.Delete{
		Sequence: sequence, Key: protocol.KeyToPB(o.Key), Uid: o.UID,
	}}}
}

func bookmark() *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Bookmark{Bookmark: &pb.Bookmark{}}}
}
