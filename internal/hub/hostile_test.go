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
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// raw sends a frame as it is. That the hub hangs up meanwhile is no error.
func (a *agent) raw(kind int, frame []byte) { _ = a.conn.WriteMessage(kind, frame) }

func appliedKey() *pb.AgentMessage {
	return appliedTo(configMap("a", "", "").Object.Key, "uid-a", object.Digest{}, pb.ApplyState_APPLY_STATE_APPLIED)
}

// Whatever a node sends ends its own session at most, and tells it why.
func TestHostileNodes(t *testing.T) {
	opened := func(w *world, a *agent) {
		a.send(hello(newReplica()))
		a.nextWelcome()
		a.nextPut()
	}
	asked := func(w *world, a *agent) {
		r := newReplica()
		r.held[configMap("z", "", "").Object.Key] = object.Holding{UID: "z"}
		a.send(hello(r))
		a.nextWelcome()
		w.g.Expect(a.next().GetNeedInventory()).NotTo(BeNil())
	}
	connected := func(*world, *agent) {}

	for name, test := range map[string]struct {
		until func(*world, *agent)
		send  func(*agent)
		code  int
		text  string
	}{
		"garbage as Hello":       {connected, func(a *agent) { a.raw(websocket.BinaryMessage, []byte("\xff\xff\xff")) }, protocol.CloseProtocol, "malformed"},
		"an empty Hello frame":   {connected, func(a *agent) { a.raw(websocket.BinaryMessage, nil) }, protocol.CloseProtocol, "not a Hello"},
		"an ack as Hello":        {connected, func(a *agent) { a.send(ack(0)) }, protocol.CloseProtocol, "not a Hello"},
		"Hello with more":        {connected, func(a *agent) { a.send(hello(newReplica()), ack(0)) }, protocol.CloseProtocol, "not a Hello"},
		"Hello as text":          {connected, func(a *agent) { a.raw(websocket.TextMessage, []byte("hello")) }, protocol.CloseProtocol, "not binary"},
		"a digest of one byte":   {connected, func(a *agent) { m := hello(newReplica()); m.GetHello().InventoryDigest = []byte{1}; a.send(m) }, protocol.CloseProtocol, "digest"},
		"a huge inventory count": {connected, func(a *agent) { m := hello(newReplica()); m.GetHello().InventoryCount = 1 << 31; a.send(m) }, protocol.CloseProtocol, "inventory"},
		"another version": {connected, func(a *agent) { m := hello(newReplica()); m.GetHello().ProtocolVersions = []uint32{7}; a.send(m) },
			protocol.CloseRefused, "the hub speaks protocol version 1, the agent [7]"},

		"something else than an inventory":  {asked, func(a *agent) { a.send(ack(0)) }, protocol.CloseProtocol, "inventory"},
		"more after the last inventory":     {asked, func(a *agent) { a.send(inventoryPart(true), inventoryPart(true)) }, protocol.CloseProtocol, "inventory"},
		"an empty inventory that goes on":   {asked, func(a *agent) { a.send(inventoryPart(false)) }, protocol.CloseProtocol, "inventory"},
		"an inventory that repeats itself":  {asked, repeatInventory, protocol.CloseProtocol, "twice"},
		"an inventory that never ends":      {asked, endlessInventory, protocol.CloseProtocol, "more than 100000 objects"},
		"an inventory of great words":       {asked, wordyInventory, protocol.CloseProtocol, "more than 33554432 bytes"},
		"an inventory of what is removed":   {asked, func(a *agent) { a.send(inventoryPart(true, removedEntry())) }, protocol.CloseProtocol, "apply state"},
		"a held state that does not exist":  {asked, func(a *agent) { e := removedEntry(); e.State = 99; a.send(inventoryPart(true, e)) }, protocol.CloseProtocol, "state"},
		"an entry without a name":           {asked, func(a *agent) { e := removedEntry(); e.Key.Name = ""; a.send(inventoryPart(true, e)) }, protocol.CloseProtocol, "name"},
		"garbage":                           {opened, func(a *agent) { a.raw(websocket.BinaryMessage, []byte("\xff\xff\xff")) }, protocol.CloseProtocol, "malformed"},
		"text":                              {opened, func(a *agent) { a.raw(websocket.TextMessage, []byte("hello")) }, protocol.CloseProtocol, "not binary"},
		"a second Hello":                    {opened, func(a *agent) { a.send(hello(newReplica())) }, protocol.CloseProtocol, "Hello"},
		"an inventory that nobody asks for": {opened, func(a *agent) { a.send(inventoryPart(true)) }, protocol.CloseProtocol, "Inventory"},
		"an ack of what was never sent":     {opened, func(a *agent) { a.send(ack(2)) }, protocol.CloseProtocol, "ack of message 2"},
		"a range that was never sent": {opened, func(a *agent) {
			a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Ranges: []*pb.SequenceRange{{First: 1, Last: 1 << 60}}}}})
		}, protocol.CloseProtocol, "ack of message"},
		"a range backwards": {opened, func(a *agent) {
			a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Ranges: []*pb.SequenceRange{{First: 1, Last: 0}}}}})
		}, protocol.CloseProtocol, "range"},
		"a nack of what was never sent": {opened, func(a *agent) { a.send(nack(&pb.Nack{Sequence: 9, Code: pb.NackCode_NACK_CODE_RETRY})) }, protocol.CloseProtocol, "nack of message 9"},
		"a nack without a code":         {opened, func(a *agent) { a.send(nack(&pb.Nack{Sequence: 1})) }, protocol.CloseProtocol, "nack code"},
		"a stale nack without a digest": {opened, func(a *agent) { a.send(nack(&pb.Nack{Sequence: 1, Code: pb.NackCode_NACK_CODE_STALE})) }, protocol.CloseProtocol, "digest"},
		"a result with a short digest":  {opened, func(a *agent) { m := appliedKey(); m.GetApplied().Results[0].Digest = []byte{1}; a.send(m) }, protocol.CloseProtocol, "digest"},
		"a result without a state":      {opened, func(a *agent) { m := appliedKey(); m.GetApplied().Results[0].State = 0; a.send(m) }, protocol.CloseProtocol, "state"},
		"a message of no kind":          {opened, func(a *agent) { a.send(&pb.AgentMessage{}) }, protocol.CloseProtocol, "kind"},
		"10,000 empty messages":         {opened, func(a *agent) { a.raw(websocket.BinaryMessage, bytes.Repeat([]byte{0x0a, 0}, 10_000)) }, protocol.CloseProtocol, "malformed"},
		"a frame above the limit":       {opened, func(a *agent) { a.raw(websocket.BinaryMessage, make([]byte, protocol.MaxAgentFrameBytes+1)) }, websocket.CloseMessageTooBig, ""},
		"a frame above the limit first": {connected, func(a *agent) { a.raw(websocket.BinaryMessage, make([]byte, protocol.MaxAgentFrameBytes+1)) }, websocket.CloseMessageTooBig, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newTCP(t))
			w.addNode("edge-1")
			w.addNode("edge-2")
			w.put(configMap("a", "10", "a"))
			victim, r := w.connect("edge-2"), newReplica()
			victim.sync(r)

			a := w.connect("edge-1")
			test.until(w, a)
			test.send(a)
			closed := a.closed()
			w.g.Expect(closed.Code).To(Equal(test.code), closed.Text)
			w.g.Expect(closed.Text).To(ContainSubstring(test.text))
			w.eventually(w.hub.Sessions).Should(Equal(1))
			w.eventually(func() []string { return w.logs.of(`"node":"edge-1"`, `"reason"`) }).Should(HaveLen(1))

			w.put(configMap("b", "11", "b"))
			w.g.Expect(names(victim.follow(r))).To(Equal([]string{"+b", "bookmark"}))
			w.settled("edge-2", 2)
		})
	}
}

func removedEntry() *pb.InventoryEntry {
	entry := entryOf(configMap("z", "", "").Object.Key, object.Holding{UID: "z"})
	entry.State = pb.ApplyState_APPLY_STATE_REMOVED
	return entry
}

func repeatInventory(a *agent) {
	part := inventoryPart(false, entryOf(configMap("z", "", "").Object.Key, object.Holding{UID: "z"}))
	a.send(part)
	a.send(part)
}

func endlessInventory(a *agent) { a.sendInventory(2000, "") }

func wordyInventory(a *agent) { a.sendInventory(200, strings.Repeat("x", protocol.MaxMessageBytes)) }

// sendInventory goes on until the hub hangs up.
func (a *agent) sendInventory(perFrame int, message string) {
	for i := 0; ; {
		var entries []*pb.InventoryEntry
		for range perFrame {
			entry := entryOf(object.Key{Kind: "K", Name: fmt.Sprint(i)}, object.Holding{})
			entry.Message = message
			entries = append(entries, entry)
			i++
		}
		frame, err := protocol.EncodeAgent(inventoryPart(false, entries...))
		a.g.Expect(err).NotTo(HaveOccurred())
		if a.conn.WriteMessage(websocket.BinaryMessage, frame) != nil || i > 2*protocol.MaxInventory {
			return
		}
	}
}

// Answers that are merely late, doubled or about nothing are no offence.
func TestHarmlessAnswers(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	w.put(configMap("a", "10", "a"))
	a := w.connect("edge-1")
	a.send(hello(newReplica()))
	a.nextWelcome()
	sequence := a.nextPut().GetSequence()
	a.send(ack(sequence), ack(sequence), ack(0),
		nack(&pb.Nack{Sequence: sequence, Code: pb.NackCode_NACK_CODE_REJECT, Message: "too late"}),
		appliedTo(object.Key{Kind: "Unknown", Name: "x"}, "x", object.Digest{}, pb.ApplyState_APPLY_STATE_APPLIED),
		appliedTo(configMap("a", "", "").Object.Key, "another uid", object.Digest{}, pb.ApplyState_APPLY_STATE_FAILED))
	a.bookmarkAfter(1)
	state, ok := w.hub.Node("edge-1")
	w.g.Expect(ok).To(BeTrue())
	w.g.Expect(state.Summary.Failed).To(BeZero())
	w.g.Expect(state.Summary.Held).To(Equal(1))
}
