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

package hostile

import (
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func lies() []attack {
	gets, counted := []string{"close 4003"}, []string{refused("protocol")}
	return []attack{
		{name: "acks for what was never sent", run: falseAcks, gets: gets, counted: counted},
		{name: "inventory of a million entries", run: hugeInventory, gets: gets, counted: counted, growth: inventoryGrowth},
		{name: "inventory of 100,000 entries as large as they may be", run: fatInventory, gets: gets, counted: counted, growth: inventoryGrowth},
		{name: "results of objects of another node", run: foreignResults, gets: []string{"nothing"}},
		{name: "results that change as fast as they go", run: flickeringResults, gets: []string{"nothing"}},
		{name: "messages of a kind that is reserved, or of none", run: reservedMessages, gets: []string{"close 4003", "nothing"}, counted: counted},
	}
}

func falseAcks(s *siege) {
	as := s.enlist().at(s.elsewhere())
	const huge = 1 << 63
	var many []*pb.SequenceRange
	for range protocol.MaxEntries {
		many = append(many, &pb.SequenceRange{First: 1, Last: huge})
	}
	acks := []*pb.Ack{
		{Cumulative: 1},
		{Cumulative: huge},
		{Ranges: []*pb.SequenceRange{{First: 1, Last: huge}}},
		{Ranges: []*pb.SequenceRange{{First: huge, Last: huge}}},
		{Ranges: many},
	}
	for i := 0; s.goOn(i, len(acks)); i++ {
		l := s.begin(as)
		s.g.Expect(l.send(&pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: acks[i%len(acks)]}})).To(Succeed())
		s.add(l.end())
	}
}

// inventoryGrowth bounds what the inventory of one node may take, while it is read and
// again as the state of its delivery.
const inventoryGrowth = 128 << 20

// claimInventory is the Hello of a node that holds what the hub cannot know.
func claimInventory(count uint32) func(*pb.Hello) {
	return func(h *pb.Hello) {
		h.InventoryCount = count
		h.InventoryDigest = make([]byte, object.DigestSize)
	}
}

// hugeInventory is announced, and sent unannounced.
func hugeInventory(s *siege) {
	as := s.enlist().at(s.elsewhere())
	s.start()
	l := s.connect(as)
	s.g.Expect(l.send(hello(claimInventory(1_000_000)))).To(Succeed())
	s.add(l.end())
	s.add(s.sendInventory(as, 1_000_000, 2000, func(n int) *pb.InventoryEntry {
		return &pb.InventoryEntry{
			Key:    &pb.ObjectKey{Kind: "Lie", Name: fmt.Sprint(n)},
			Digest: make([]byte, object.DigestSize), State: pb.ApplyState_APPLY_STATE_APPLIED,
		}
	}))
}

// fatInventory has no more entries than it may have.
func fatInventory(s *siege) {
	name := strings.Repeat("x", 253)
	s.start()
	s.add(s.sendInventory(s.enlist().at(s.elsewhere()), protocol.MaxInventory, 100, func(n int) *pb.InventoryEntry {
		return &pb.InventoryEntry{
			Key: &pb.ObjectKey{Group: name, Kind: name[:63], Namespace: name, Name: fmt.Sprintf("%0253d", n)},
			Uid: name[:128], Version: name[:128],
			Digest: make([]byte, object.DigestSize), State: pb.ApplyState_APPLY_STATE_FAILED,
			Message: strings.Repeat("x", protocol.MaxMessageBytes),
		}
	}))
}

// sendInventory sends entries, some in each frame, and returns how the session ends.
func (s *siege) sendInventory(as caller, count, together int, entry func(n int) *pb.InventoryEntry) string {
	l := s.begin(as, claimInventory(protocol.MaxInventory))
	go func() {
		for n := 0; n < count; n += together {
			part := &pb.Inventory{Last: n+together >= count}
			for i := range together {
				part.Entries = append(part.Entries, entry(n+i))
			}
			if l.send(&pb.AgentMessage{Body: &pb.AgentMessage_Inventory{Inventory: part}}) != nil {
				return
			}
		}
		_ = l.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(patience))
	}()
	return l.end()
}

// foreignResults says that the honest node has failed, which nobody believes; what the
// attacker says of itself in the same frame, and after it, is taken over.
func foreignResults(s *siege) {
	const name = "own"
	as := s.enlist().at(s.elsewhere())
	own := s.deliverTo(as.name, name)
	l := s.connect(as)
	defer l.Close()
	s.g.Expect(l.send(hello())).To(Succeed())
	put := l.nextPut(s.g)
	stolen := &corev1.ConfigMap{}
	s.g.Expect(s.client.Get(s.t.Context(), client.ObjectKeyFromObject(s.honest.configMap()), stolen)).To(Succeed())
	foreign := &pb.ObjectKey{Kind: "ConfigMap", Namespace: s.honest.namespace, Name: counter}
	s.g.Expect(l.send(&pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Cumulative: put.GetSequence()}}})).To(Succeed())
	for !s.over() {
		s.g.Expect(l.send(
			failure(foreign, string(stolen.UID), make([]byte, object.DigestSize)),
			failure(foreign, "", make([]byte, object.DigestSize)),
		)).To(Succeed())
	}
	digest := object.DigestOf(put.GetPayload())
	s.g.Expect(l.send(failure(put.GetKey(), put.GetUid(), digest[:]))).To(Succeed())
	s.g.Eventually(s.failuresOf).WithArguments(own).WithTimeout(patience).Should(HaveLen(1), "the attacker's own")
	s.g.Expect(s.failuresOf(s.honest.namespace)).To(BeEmpty())
	node, err := s.edgeNode(honestName)
	s.g.Expect(err).NotTo(HaveOccurred())
	s.g.Expect(node.Status.Failures).To(BeEmpty())
	s.add("nothing")
}

// flickeringResults says of one object, in turn, that it was applied and that it was not.
func flickeringResults(s *siege) {
	as := s.enlist().at(s.elsewhere())
	own := s.deliverTo(as.name, "own")
	l := s.connect(as)
	defer l.Close()
	s.g.Expect(l.send(hello())).To(Succeed())
	put := l.nextPut(s.g)
	digest := object.DigestOf(put.GetPayload())
	bad := failure(put.GetKey(), put.GetUid(), digest[:])
	good := failure(put.GetKey(), put.GetUid(), digest[:])
	good.GetApplied().Results[0].State, good.GetApplied().Results[0].Message = pb.ApplyState_APPLY_STATE_APPLIED, ""
	s.g.Expect(l.send(&pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Cumulative: put.GetSequence()}}})).To(Succeed())
	for !s.over() {
		s.g.Expect(l.send(bad, good)).To(Succeed())
		s.g.Expect(l.send(bad)).To(Succeed())
	}
	s.g.Eventually(s.failuresOf).WithArguments(own).WithTimeout(patience).Should(HaveLen(1))
	s.add("nothing")
}

// deliverTo makes one object that belongs on the node, in a namespace of its own.
func (s *siege) deliverTo(node, name string) (namespace string) {
	namespace = node + "-" + name
	makeSync(s.t, s.client, namespace)
	label := map[string]string{syncLabel: namespace}
	s.g.Expect(s.client.Create(s.t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: label},
	})).To(Succeed())
	s.label(node, namespace)
	return namespace
}

// label has a node get the objects of a namespace.
func (s *siege) label(node, namespace string) {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, syncLabel, namespace)
	edgeNode := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: node}}
	s.g.Expect(s.client.Patch(s.t.Context(), edgeNode, client.RawPatch("application/merge-patch+json", []byte(patch)))).To(Succeed())
}

func (s *siege) failuresOf(namespace string) ([]syncv1alpha1.SyncFailure, error) {
	sync := &syncv1alpha1.ObjectSync{}
	err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: namespace, Name: "all"}, sync)
	return sync.Status.Failures, err
}

func failure(key *pb.ObjectKey, uid string, digest []byte) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Applied{Applied: &pb.Applied{Results: []*pb.ApplyResult{{
		Key: key, Uid: uid, Digest: digest, State: pb.ApplyState_APPLY_STATE_FAILED, Message: "a lie",
	}}}}}
}

// nextPut reads on until an object comes.
func (l *link) nextPut(g *WithT) *pb.Put {
	for {
		messages, err := l.receive()
		g.Expect(err).NotTo(HaveOccurred())
		for _, message := range messages {
			if put := message.GetPut(); put != nil {
				return put
			}
		}
	}
}

// reservedMessages are those that a later version may know, as message 6. An unknown
// field of a known message is ignored.
func reservedMessages(s *siege) {
	as := s.enlist().at(s.elsewhere())
	for i := 0; s.goOn(i, 2); i++ {
		unknown := field([]protowire.Number{6, 99}[i%2], field(1, []byte(honestName)))
		l := s.begin(as)
		s.g.Expect(l.WriteMessage(websocket.BinaryMessage, inFrame(field(3, unknown)))).To(Succeed()) // in an Ack
		s.g.Expect(l.ping()).To(Succeed())
		s.add("nothing")
		_ = l.Close()
		l = s.begin(as)
		s.g.Expect(l.WriteMessage(websocket.BinaryMessage, inFrame(unknown))).To(Succeed())
		s.add(l.end())
	}
}

// inFrame is a frame of one message with this body.
func inFrame(body []byte) []byte { return field(1, body) }

// field encodes one field of a protobuf message.
func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}
