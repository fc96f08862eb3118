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
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// agent is the other end of a session, and does only what a test tells it to.
type agent struct {
	t    testing.TB
	g    *WithT
	conn *websocket.Conn
	// queue is what has come and the test has not looked at.
	queue []*pb.HubMessage
	// frames counts the frames that have come.
	frames int
	// patience is how long to wait for a frame.
	patience time.Duration
}

// open makes a WebSocket; the response tells why it did not become one.
func (w *world) open(node string, change ...func(*websocket.Dialer, http.Header)) (*agent, *http.Response, error) {
	return w.openWith([]tls.Certificate{certificate(w.t, w.ca, node)}, change...)
}

func (w *world) openWith(certificates []tls.Certificate, change ...func(*websocket.Dialer, http.Header)) (*agent, *http.Response, error) {
	header := http.Header{}
	dialer := websocket.Dialer{
		Subprotocols:    []string{protocol.Subprotocol},
		TLSClientConfig: &tls.Config{RootCAs: w.ca.Pool(), Certificates: certificates, ServerName: "127.0.0.1"},
		NetDialContext:  func(context.Context, string, string) (net.Conn, error) { return w.network.dial() },
	}
	for _, c := range change {
		c(&dialer, header)
	}
	conn, response, err := dialer.Dial("wss://127.0.0.1"+protocol.SyncPath, header)
	if err != nil {
		return nil, response, err
	}
	return &agent{t: w.t, g: NewWithT(w.t), conn: conn, patience: patience}, response, nil
}

// connect makes a WebSocket that must succeed. It is closed with the test.
func (w *world) connect(node string) *agent {
	w.t.Helper()
	a, _, err := w.open(node)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(a.hangUp)
	return a
}

// hangUp closes the connection, and waits until the hub has.
func (a *agent) hangUp() { _ = a.conn.Close() }

func (a *agent) send(messages ...*pb.AgentMessage) {
	a.t.Helper()
	frame, err := protocol.EncodeAgent(messages...)
	a.g.Expect(err).NotTo(HaveOccurred())
	a.g.Expect(a.conn.WriteMessage(websocket.BinaryMessage, frame)).To(Succeed())
}

// frame reads one frame.
func (a *agent) frame() ([]*pb.HubMessage, error) {
	_ = a.conn.SetReadDeadline(time.Now().Add(a.patience))
	_, data, err := a.conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	a.frames++
	return protocol.DecodeHub(data)
}

// next is the next message.
func (a *agent) next() *pb.HubMessage {
	a.t.Helper()
	for len(a.queue) == 0 {
		messages, err := a.frame()
		a.g.Expect(err).NotTo(HaveOccurred())
		a.queue = messages
	}
	message := a.queue[0]
	a.queue = a.queue[1:]
	return message
}

// beyond is the next message that is not a Bookmark: one comes with whatever is the last for
// the time being.
func (a *agent) beyond() *pb.HubMessage {
	a.t.Helper()
	message := a.next()
	for message.GetBookmark() != nil {
		message = a.next()
	}
	return message
}

func (a *agent) nextPut() *pb.Put {
	a.t.Helper()
	message := a.beyond()
	a.g.Expect(message.GetPut()).NotTo(BeNil(), "%T", message.GetBody())
	return message.GetPut()
}

func (a *agent) nextBookmark() {
	a.t.Helper()
	message := a.next()
	a.g.Expect(message.GetBookmark()).NotTo(BeNil(), "%T", message.GetBody())
}

// bookmarkAfter reads on until the Bookmark of a hub that has taken in so many Nacks.
func (a *agent) bookmarkAfter(nacks uint64) {
	a.t.Helper()
	for bookmark := (*pb.Bookmark)(nil); bookmark == nil || bookmark.GetNacks() < nacks; {
		bookmark = a.next().GetBookmark()
	}
}

func (a *agent) nextWelcome() *pb.Welcome {
	a.t.Helper()
	message := a.next()
	a.g.Expect(message.GetWelcome()).NotTo(BeNil(), "%T", message.GetBody())
	return message.GetWelcome()
}

// closed reads on until the hub closes the connection, and returns why.
func (a *agent) closed() *websocket.CloseError {
	a.t.Helper()
	for {
		_, err := a.frame()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		a.g.Expect(errors.As(err, &closed)).To(BeTrue(), "%v", err)
		a.hangUp()
		return closed
	}
}

func hello(r *replica) *pb.AgentMessage {
	digest, info := r.digest(), protocol.HubInfoDigest(hubInfo)
	return &pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: &pb.Hello{
		ProtocolVersions: []uint32{protocol.Version},
		AgentVersion:     "v0.1.0", BootId: "boot-1", StoreEpoch: "store-1",
		HubInfoDigest: info[:],
		ClusterEpoch:  r.epoch, InventoryCount: uint32(len(r.held)), InventoryDigest: digest[:],
	}}}
}

func ack(cumulative uint64) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Cumulative: cumulative}}}
}

func nack(nack *pb.Nack) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Nack{Nack: nack}}
}

func appliedTo(key object.Key, uid string, digest object.Digest, state pb.ApplyState) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Applied{Applied: &pb.Applied{Results: []*pb.ApplyResult{{
		Key: protocol.KeyToPB(key), Uid: uid, Digest: digest[:], State: state,
	}}}}}
}

func inventoryPart(last bool, entries ...*pb.InventoryEntry) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Inventory{Inventory: &pb.Inventory{Entries: entries, Last: last}}}
}

// replica is what a node holds: a model of an agent's store.
type replica struct {
	epoch string
	held  map[object.Key]object.Holding
}

func newReplica() *replica { return &replica{held: map[object.Key]object.Holding{}} }

// holding is a replica that holds, applied, what the hub would send now.
func (w *world) holding(keys ...object.Key) *replica {
	r := newReplica()
	r.epoch = epoch
	for _, key := range keys {
		r.held[key] = w.index.Lookup("edge-1", key).Holding()
	}
	return r
}

func (r *replica) digest() object.Digest {
	var fingerprints []object.Digest
	for key, holding := range r.held {
		fingerprints = append(fingerprints, holding.Fingerprint(key))
	}
	return object.InventoryDigest(fingerprints)
}

func (r *replica) entries() []*pb.InventoryEntry {
	var entries []*pb.InventoryEntry
	for key, holding := range r.held {
		entries = append(entries, entryOf(key, holding))
	}
	slices.SortFunc(entries, func(a, b *pb.InventoryEntry) int { return cmp.Compare(a.GetKey().GetName(), b.GetKey().GetName()) })
	return entries
}

func entryOf(key object.Key, holding object.Holding) *pb.InventoryEntry {
	return &pb.InventoryEntry{
		Key: protocol.KeyToPB(key), Uid: holding.UID, Version: holding.Version, Digest: holding.Digest[:],
		Retain: holding.Retain, State: pb.ApplyState_APPLY_STATE_APPLIED,
	}
}

// take stores or removes what a message says, and returns the answer.
func (r *replica) take(message *pb.HubMessage) []*pb.AgentMessage {
	switch body := message.GetBody().(type) {
	case *pb.HubMessage_Put:
		put := body.Put
		key := protocol.KeyFromPB(put.GetKey())
		holding := object.Holding{
			UID: put.GetUid(), Version: put.GetVersion(), Digest: object.DigestOf(put.GetPayload()), Retain: put.GetRetain(),
		}
		held, holds := r.held[key]
		if delivery.Admit(held, holds, holding, put.GetForce()) == delivery.Stale {
			return []*pb.AgentMessage{nack(&pb.Nack{
				Sequence: put.GetSequence(), Code: pb.NackCode_NACK_CODE_STALE,
				HeldUid: held.UID, HeldVersion: held.Version, HeldDigest: held.Digest[:],
			})}
		}
		r.held[key] = holding
		return []*pb.AgentMessage{
			ack(put.GetSequence()),
			appliedTo(key, holding.UID, holding.Digest, pb.ApplyState_APPLY_STATE_APPLIED),
		}
	case *pb.HubMessage_Delete:
		key := protocol.KeyFromPB(body.Delete.GetKey())
		answers := []*pb.AgentMessage{ack(body.Delete.GetSequence())}
		if held, holds := r.held[key]; holds && held.UID == body.Delete.GetUid() {
			delete(r.held, key)
			answers = append(answers, appliedTo(key, held.UID, held.Digest, pb.ApplyState_APPLY_STATE_REMOVED))
		}
		return answers
	}
	return nil
}

// sync plays an agent until it is told that it holds everything, and returns all
// messages that the hub has sent.
func (a *agent) sync(r *replica) []*pb.HubMessage {
	a.t.Helper()
	a.send(hello(r))
	r.epoch = a.greet()
	return a.follow(r)
}

func (a *agent) greet() (clusterEpoch string) {
	a.t.Helper()
	return a.nextWelcome().GetClusterEpoch()
}

// follow answers what comes until the next bookmark.
func (a *agent) follow(r *replica) []*pb.HubMessage {
	a.t.Helper()
	var all []*pb.HubMessage
	for {
		message := a.next()
		all = append(all, message)
		switch {
		case message.GetBookmark() != nil:
			return all
		case message.GetNeedInventory() != nil:
			a.send(inventoryPart(true, r.entries()...))
		default:
			if answers := r.take(message); len(answers) > 0 {
				a.send(answers...)
			}
		}
	}
}

// names are the objects in messages: +name for a Put, -name for a Delete, and !name
// for a Put with force.
func names(messages []*pb.HubMessage) []string {
	var names []string
	for _, message := range messages {
		switch {
		case message.GetPut().GetForce():
			names = append(names, "!"+message.GetPut().GetKey().GetName())
		case message.GetPut() != nil:
			names = append(names, "+"+message.GetPut().GetKey().GetName())
		case message.GetDelete() != nil:
			names = append(names, "-"+message.GetDelete().GetKey().GetName())
		case message.GetNeedInventory() != nil:
			names = append(names, "inventory?")
		case message.GetBookmark() != nil:
			names = append(names, "bookmark")
		case message.GetHubInfo() != nil:
			names = append(names, "info "+strings.Join(message.GetHubInfo().GetAddresses(), " "))
		}
	}
	return names
}
