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
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	// handshakeTimeout bounds the upgrade, and then the wait for Hello.
	handshakeTimeout = 10 * time.Second
	// admitTimeout bounds the decision whether to admit a node.
	admitTimeout = 10 * time.Second
	// inventoryTimeout is how long no byte of an inventory may come.
	inventoryTimeout = 30 * time.Second
)

// ServeHTTP turns the request of a node into its session, which goes on after it has
// returned. The node's name is the one in its verified client certificate.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer, err := peerOf(r.TLS)
	if err != nil {
		h.refuse(w, r, "", err)
		return
	}
	if err := h.reserve(peer.Name); err != nil {
		h.refuse(w, r, peer.Name, err)
		return
	}
	release := h.unreserve
	defer func() { release() }() // also if the admission panics
	conn, err := h.upgrade(w, r, peer)
	if err != nil {
		return
	}
	// A goroutine of its own lets go of the buffers of the HTTP server.
	release = func() {}
	address, place := r.RemoteAddr, connOf(r.Context())
	go func() {
		defer h.unreserve()
		h.serve(peer, address, place, conn)
	}()
}

// upgrade admits the node, and makes a WebSocket of its request. It has answered if
// there is an error.
func (h *Hub) upgrade(w http.ResponseWriter, r *http.Request, peer pki.Peer) (*websocket.Conn, error) {
	if err := h.admit(r.Context(), peer); err != nil {
		h.refuse(w, r, peer.Name, err)
		return nil, err
	}
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		refused(causeRequest)
		h.options.Log.Info("Refused a connection", "node", peer.Name, "address", r.RemoteAddr, "reason", err.Error())
	}
	return conn, err
}

// peerOf is the node that asks, if it has a certificate that is still good.
func peerOf(state *tls.ConnectionState) (pki.Peer, error) {
	peer, err := pki.PeerOf(state)
	if err != nil {
		return pki.Peer{}, &Refusal{Status: http.StatusUnauthorized, Message: err.Error(), cause: causeNoCertificate}
	}
	if peer.Expired(time.Now()) {
		return pki.Peer{}, expired(peer.Certificate.NotAfter)
	}
	return peer, nil
}

// admit asks whether the node may have a session. The lock of the hub must not be held.
func (h *Hub) admit(ctx context.Context, peer pki.Peer) error {
	ctx, cancel := context.WithTimeout(ctx, admitTimeout)
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()
	return h.options.Admit(ctx, peer)
}

// refuse answers with a refusal. Whatever anybody can cause is no line in the log.
func (h *Hub) refuse(w http.ResponseWriter, r *http.Request, name string, err error) {
	refusal := refusalOf(err)
	refused(refusal.causeOf())
	log := h.options.Log
	if name == "" || refusal.cause == causeDuplicate {
		log = log.V(1)
	}
	log.Info("Refused a node", "node", name, "address", r.RemoteAddr, "reason", err.Error())
	if refusal.RetryAfter > 0 {
		seconds := (refusal.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	http.Error(w, refusal.Message, refusal.Status)
}

// serve runs the session of a node over an open WebSocket.
func (h *Hub) serve(peer pki.Peer, address string, place *conn, socket *websocket.Conn) {
	w, err := newWire(socket)
	if err != nil {
		h.options.Log.Error(err, "Cannot serve a node", "node", peer.Name, "address", address)
		_ = socket.Close()
		return
	}
	s := newSession(h, peer, address, w)
	s.place = place
	defer context.AfterFunc(h.closing, func() { s.end(protocol.CloseDraining, "the hub is shutting down", "") })()
	notAfter := peer.Certificate.NotAfter
	defer time.AfterFunc(time.Until(notAfter), func() { s.fail(expired(notAfter)) }).Stop()
	reason := s.run()
	if s.begun() {
		s.log().Info("Node disconnected", "reason", reason)
	} else {
		s.log().Info("Ended a connection before its session began", "reason", reason)
	}
}

// open tells the node what it needs to know, learns what it holds, and makes its
// delivery. When the digest shows that the node holds all that it should, and has
// applied it, nothing further is asked.
func (s *session) open(hello *pb.Hello, keys []object.Key) error {
	// The answer to the first question may be older than the last Readmit.
	if err := s.hub.admit(context.Background(), s.peer); err != nil {
		return refusalOf(err)
	}
	s.place.settle()
	held, matches := s.expectedInventory(keys, hello)
	welcome := []*pb.HubMessage{s.welcome()}
	if !matches && hello.GetInventoryCount() > 0 {
		welcome = append(welcome, &pb.HubMessage{Body: &pb.HubMessage_NeedInventory{NeedInventory: &pb.NeedInventory{}}})
	}
	if err := s.wire.write(welcome...); err != nil {
		return err
	}
	if !matches {
		var err error
		if held, err = s.wire.readInventory(hello.GetInventoryCount() > 0); err != nil {
			return err
		}
	}
	if foreign(s.hub.options.ClusterEpoch, hello) {
		held.markForeign()
	}
	s.begin(hello, keys, held)
	return nil
}

// foreign: what the node holds came from another cluster.
func foreign(epoch string, hello *pb.Hello) bool {
	return hello.GetClusterEpoch() != "" && hello.GetClusterEpoch() != epoch
}

func (s *session) welcome() *pb.HubMessage {
	options := s.hub.options
	return &pb.HubMessage{Body: &pb.HubMessage_Welcome{Welcome: &pb.Welcome{
		ProtocolVersion:  protocol.Version,
		Session:          s.id,
		ClusterEpoch:     options.ClusterEpoch,
		HeartbeatSeconds: uint32(max(1, options.Heartbeat/time.Second)),
		WindowMessages:   uint32(options.Delivery.WindowMessages),
		WindowBytes:      uint32(options.Delivery.WindowBytes),
	}}}
}

func negotiate(hello *pb.Hello) error {
	if !slices.Contains(hello.GetProtocolVersions(), protocol.Version) {
		return &Refusal{cause: causeProtocol, Message: fmt.Sprintf(
			"the hub speaks protocol version %d, the agent %v: upgrade the older one", protocol.Version, hello.GetProtocolVersions())}
	}
	return nil
}

// expectedInventory is the inventory of a node that holds just what it should; false
// if that is not what the node declares.
func (s *session) expectedInventory(keys []object.Key, hello *pb.Hello) (inventory, bool) {
	if foreign(s.hub.options.ClusterEpoch, hello) || int(hello.GetInventoryCount()) != len(keys) {
		return nil, false
	}
	expected := make(inventory, len(keys))
	fingerprints := make([]object.Digest, 0, len(keys))
	for _, key := range keys {
		want := s.hub.options.Index.Lookup(s.name, key)
		if want.Object == nil {
			return nil, false
		}
		expected[key] = applied(want.Holding())
		fingerprints = append(fingerprints, want.Holding().Fingerprint(key))
	}
	return expected, object.InventoryDigest(fingerprints) == object.Digest(hello.GetInventoryDigest())
}
