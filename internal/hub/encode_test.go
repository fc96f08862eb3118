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
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/payload"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// encodings are those of the agents there are.
var encodings = []pb.Encoding{pb.Encoding_ENCODING_ZSTD, pb.Encoding_ENCODING_ZSTD_DELTA}

// settings is a ConfigMap with so many keys of 80 random bytes, one of which has a value.
func settings(keys int, version, value string) desired.Item {
	random := rand.New(rand.NewPCG(1, 2))
	data := map[string]string{}
	for i := range keys {
		content := make([]byte, 40)
		for j := range content {
			content[j] = byte(random.Uint32())
		}
		data[fmt.Sprintf("key-%04d", i)] = hex.EncodeToString(content)
	}
	data[fmt.Sprintf("key-%04d", keys/2)] = value
	content, _ := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]string{
			"name": "settings", "namespace": "shop", "creationTimestamp": "2026-11-20T15:35:40Z",
			"uid": "6f1c0b1e-1111-2222-3333-123456789012",
		},
	})
	return configMap("settings", version, string(content))
}

// declaring connects a node that understands encodings, and brings it in sync.
func (w *world) declaring(encodings ...pb.Encoding) (*agent, []*pb.HubMessage) {
	w.addNode("edge-1")
	a := w.connect("edge-1")
	message := hello(newReplica())
	message.GetHello().Encodings = encodings
	a.send(message)
	a.nextWelcome()
	return a, a.follow(newReplica())
}

func (a *agent) decode(base []byte, put *pb.Put) string {
	a.t.Helper()
	decoded, err := payload.Decode(put.GetEncoding(), base, put.GetPayload(), protocol.MaxObjectBytes)
	a.g.Expect(err).NotTo(HaveOccurred())
	return string(decoded)
}

func TestANodeThatUnderstandsNothingElseGetsJSON(t *testing.T) {
	w := newWorld(t, newPipes())
	before, after := settings(10, "10", "before"), settings(10, "11", "after")
	w.put(before)
	a, messages := w.declaring()
	w.g.Expect(messages[0].GetPut().GetPayload()).To(Equal(before.Object.Payload))
	w.put(after)
	put := a.nextPut()
	w.g.Expect(put.GetEncoding()).To(Equal(pb.Encoding_ENCODING_JSON))
	w.g.Expect(put.GetPayload()).To(Equal(after.Object.Payload))
}

func TestEncodings(t *testing.T) {
	w := newWorld(t, newPipes())
	before, after, later := settings(10, "10", "before"), settings(10, "11", "after"), settings(10, "12", "later")
	w.put(before)
	a, messages := w.declaring(encodings...)
	put := messages[0].GetPut()
	w.g.Expect(put.GetEncoding()).To(Equal(pb.Encoding_ENCODING_ZSTD))
	w.g.Expect(len(put.GetPayload())).To(BeNumerically("<", len(before.Object.Payload)*3/4))
	w.g.Expect(a.decode(nil, put)).To(BeEquivalentTo(before.Object.Payload))

	w.put(after)
	put = a.nextPut()
	w.g.Expect(put.GetEncoding()).To(Equal(pb.Encoding_ENCODING_ZSTD_DELTA))
	w.g.Expect(put.GetBase()).To(Equal(before.Object.Digest[:protocol.BaseBytes]))
	w.g.Expect(a.decode(before.Object.Payload, put)).To(BeEquivalentTo(after.Object.Payload))

	// The node does not hold the base after all.
	a.send(nack(&pb.Nack{Sequence: put.GetSequence(), Code: pb.NackCode_NACK_CODE_NO_BASE}))
	put = a.nextPut()
	w.g.Expect(put.GetEncoding()).To(Equal(pb.Encoding_ENCODING_ZSTD))
	w.g.Expect(a.decode(nil, put)).To(BeEquivalentTo(after.Object.Payload))
	a.send(ack(put.GetSequence()))

	w.put(later)
	put = a.nextPut()
	w.g.Expect(put.GetEncoding()).To(Equal(pb.Encoding_ENCODING_ZSTD_DELTA))
	w.g.Expect(a.decode(after.Object.Payload, put)).To(BeEquivalentTo(later.Object.Payload))
}

// A node that was away holds what others have been brought beyond long ago.
func TestDifferenceAfterAReconnect(t *testing.T) {
	w := newWorld(t, newPipes())
	before, after := settings(10, "10", "before"), settings(10, "12", "after")
	w.put(before)
	w.addNode("edge-1")
	held := w.holding(before.Object.Key)
	w.put(settings(10, "11", "between"))
	w.put(after)
	a := w.connect("edge-1")
	message := hello(held)
	message.GetHello().Encodings = encodings
	a.send(message)
	a.nextWelcome()
	w.g.Expect(a.next().GetNeedInventory()).NotTo(BeNil())
	a.send(inventoryPart(true, held.entries()...))
	put := a.nextPut()
	w.g.Expect(put.GetEncoding()).To(Equal(pb.Encoding_ENCODING_ZSTD_DELTA))
	w.g.Expect(a.decode(before.Object.Payload, put)).To(BeEquivalentTo(after.Object.Payload))
}

// All nodes share what an object has become: it is one piece of memory.
func TestAnObjectIsEncodedOnceForAllNodes(t *testing.T) {
	w := newWorld(t, newPipes())
	before, after := settings(10, "10", "before"), settings(10, "11", "after")
	w.put(before)
	w.put(after)
	for _, base := range []object.Digest{{}, before.Object.Digest} {
		shared := map[*byte]bool{}
		for sequence := range uint64(10) {
			node := &session{hub: w.hub}
			node.encodings.compressed, node.encodings.difference = true, true
			put := node.putToPB(delivery.Put{Sequence: sequence + 1, Object: after.Object, Base: base})
			w.g.Expect(put.GetSequence()).To(Equal(sequence + 1))
			w.g.Expect(put.GetEncoding()).NotTo(Equal(pb.Encoding_ENCODING_JSON))
			shared[&put.GetPayload()[0]] = true
		}
		w.g.Expect(shared).To(HaveLen(1))
	}
}

// The rate of a node holds from the first object on, and ends when it is changed.
func TestTheRateOfANode(t *testing.T) {
	w := newWorld(t, newPipes())
	w.put(configMap("a", "10", strings.Repeat("a", 2000)))
	w.put(configMap("b", "11", strings.Repeat("b", 2000)))
	w.index.SetNode("edge-1", nil, desired.NodeSettings{BytesPerSecond: 1})
	a := w.connect("edge-1")
	a.send(hello(newReplica()))
	a.nextWelcome()
	first := a.nextPut()
	a.send(ack(first.GetSequence()))
	w.eventually(func() int { state, _ := w.hub.Node("edge-1"); return state.Summary.Held }).Should(Equal(1))
	at, waits := w.session("edge-1").nextRetry()
	w.g.Expect(waits).To(BeTrue())
	w.g.Expect(time.Until(at)).To(BeNumerically(">", 30*time.Minute), "2,000 bytes take as many seconds")

	w.index.SetNode("edge-1", nil, desired.NodeSettings{BytesPerSecond: 1 << 20})
	w.g.Expect(a.nextPut().GetKey().GetName()).NotTo(Equal(first.GetKey().GetName()))
}

func (w *world) session(node string) *session {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	return w.hub.sessions[node]
}

// What frames take beside their content: TLS 1.3 with a tag of 16 bytes and the type of the
// record, and the header of a WebSocket frame, which an agent also masks.
const tlsRecord = 5 + 1 + 16

func frameHeader(content int, masked bool) int {
	header := 2
	if content > 125 {
		header = 4
	}
	if masked {
		header += 4
	}
	return header
}

// What one changed key costs on the wire, to the byte, with the Bookmark that says that it was
// all. A hub that has learnt of something meanwhile says in it how much it knows.
func TestBytesOfOneChangedKey(t *testing.T) {
	for keys, most := range map[int]int{10: 150, 1000: 160} {
		for _, learns := range []bool{false, true} {
			w := newWorld(t, newPipes())
			for feed := range desired.EdgeNodes + 1 {
				w.index.Advance(feed, "123456789")
			}
			w.put(settings(keys, "123456789", "a value of some length"))
			a, _ := w.declaring(encodings...)
			if learns {
				w.index.Advance(desired.EdgeNodes, "123456790")
			}
			w.put(settings(keys, "123456791", strings.Repeat("another", 3)))
			messages, err := a.frame()
			w.g.Expect(err).NotTo(HaveOccurred())
			w.g.Expect(names(messages)).To(Equal([]string{"+settings", "bookmark"}), "in one frame")
			w.g.Expect(messages[1].GetBookmark().GetView()).To(HaveLen(map[bool]int{false: 0, true: 13}[learns]))
			frame, err := protocol.EncodeHub(messages...)
			w.g.Expect(err).NotTo(HaveOccurred())
			bytes := tlsRecord + frameHeader(len(frame), false) + len(frame)
			t.Logf("%d keys: %d bytes, of which %d are the difference", keys, bytes, len(messages[0].GetPut().GetPayload()))
			w.g.Expect(bytes).To(BeNumerically("<=", most), "%d keys", keys)
		}
	}
}

// What the answers to one message cost, as late as in the millionth of a session.
func TestBytesOfAnswers(t *testing.T) {
	g := NewWithT(t)
	const sequence = 1_000_000
	for name, message := range map[string]*pb.AgentMessage{
		"ack": ack(sequence),
		"done": {Body: &pb.AgentMessage_Applied{Applied: &pb.Applied{
			Done: []*pb.SequenceRange{{First: sequence, Last: sequence}},
		}}},
	} {
		frame, err := protocol.EncodeAgent(message)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(tlsRecord+frameHeader(len(frame), true)+len(frame)).To(BeNumerically("<=", 42), name)
	}
	frame, err := protocol.EncodeAgent(ack(sequence))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(tlsRecord + frameHeader(len(frame), true) + len(frame)).To(BeNumerically("<=", 40))
}

func TestBookmarkCarriesTheView(t *testing.T) {
	w := newWorld(t, newPipes())
	w.index.Advance(desired.EdgeNodes, "42")
	_, messages := w.declaring()
	w.g.Expect(messages[len(messages)-1].GetBookmark().GetView()).To(Equal(w.index.Horizon()))
	w.g.Expect(w.index.Horizon()).NotTo(BeEmpty())
}
