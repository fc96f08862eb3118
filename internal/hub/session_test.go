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
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestFirstSession(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	pod, settings, namespace := thing(pods, "web", "12", "{pod}"), configMap("settings", "11", "{map}"), thing(namespaces, "shop", "10", "{ns}")
	w.put(pod)
	w.put(settings)
	w.put(namespace)
	key := settings.Object.Key
	progress := func() delivery.Progress {
		p, _, ok := w.hub.Progress("edge-1", []object.Key{key})
		w.g.Expect(ok).To(BeTrue())
		return p
	}

	a := w.connect("edge-1")
	_, ok := w.hub.Node("edge-1")
	w.g.Expect(ok).To(BeFalse(), "a connection without Hello is no session")
	a.send(hello(newReplica()))
	welcome := a.nextWelcome()
	w.g.Expect(welcome.GetClusterEpoch()).To(Equal(epoch))
	w.g.Expect(welcome.GetProtocolVersion()).To(BeEquivalentTo(protocol.Version))
	w.g.Expect(welcome.GetHeartbeatSeconds()).To(BeEquivalentTo(20))
	w.g.Expect(welcome.GetWindowMessages()).To(BeEquivalentTo(4096))
	w.g.Expect(welcome.GetWindowBytes()).To(BeEquivalentTo(4 << 20))

	w.g.Expect(a.nextPut().GetKey().GetName()).To(Equal("shop"))
	put := a.nextPut()
	w.g.Expect(a.nextPut().GetKey().GetName()).To(Equal("web"))
	w.g.Expect(put.GetKey()).To(HaveField("Name", "settings"))
	w.g.Expect(put.GetUid()).To(Equal("uid-settings"))
	w.g.Expect(put.GetVersion()).To(Equal("11"))
	w.g.Expect(put.GetPayload()).To(Equal([]byte("{map}")))
	w.g.Expect(put.GetApiVersion()).To(Equal("v1"))
	w.g.Expect(put.GetResource()).To(Equal("configmaps"))
	w.g.Expect(put.GetForce()).To(BeFalse())

	w.g.Expect(progress()).To(Equal(delivery.InProgress))
	state, ok := w.hub.Node("edge-1")
	w.g.Expect(ok).To(BeTrue())
	w.g.Expect(state.SessionID).To(Equal(welcome.GetSession()))
	w.g.Expect(state.AgentVersion).To(Equal("v0.1.0"))
	w.g.Expect(state.BootID).To(Equal("boot-1"))
	w.g.Expect(state.Summary).To(Equal(delivery.Summary{Desired: 3, Pending: 3}))
	w.eventually(func() int { return w.observer.nodeEvents("edge-1") }).Should(Equal(1))
	before := w.observer.progressOf("edge-1", key)
	w.g.Expect(before).To(BeNumerically(">", 0))

	a.send(ack(3))
	w.eventually(func() int { return w.observer.progressOf("edge-1", key) }).Should(Equal(before + 1))
	a.nextBookmark()
	state, _ = w.hub.Node("edge-1")
	w.g.Expect(state.Summary).To(Equal(delivery.Summary{Desired: 3, Held: 3, Pending: 3}), "stored is not applied")
	w.g.Expect(progress()).To(Equal(delivery.InProgress))

	for _, item := range []desired.Item{pod, settings, namespace} {
		a.send(appliedTo(item.Object.Key, item.Object.UID, item.Object.Digest, pb.ApplyState_APPLY_STATE_APPLIED))
	}
	w.settled("edge-1", 3)
	w.g.Expect(progress()).To(Equal(delivery.InSync))
	w.g.Expect(w.observer.progressOf("edge-1", key)).To(Equal(before + 2))

	failed := appliedTo(key, "uid-settings", settings.Object.Digest, pb.ApplyState_APPLY_STATE_FAILED)
	failed.GetApplied().Results[0].Message = "the disk is full"
	a.send(failed)
	w.eventually(progress).Should(Equal(delivery.Failing))
	_, failures, _ := w.hub.Progress("edge-1", []object.Key{key})
	w.g.Expect(failures).To(ConsistOf(And(
		HaveField("Reason", delivery.FailedToApply), HaveField("Message", "the disk is full"), HaveField("Ref", "v1/ConfigMap/shop/settings"))))

	a.hangUp()
	w.eventually(w.hub.Sessions).Should(BeZero())
	w.eventually(func() int { return w.observer.nodeEvents("edge-1") }).Should(Equal(2))
	_, _, ok = w.hub.Progress("edge-1", []object.Key{key})
	w.g.Expect(ok).To(BeFalse())
	w.eventually(func() []string { return w.logs.of(`"node":"edge-1"`) }).Should(ConsistOf(
		ContainSubstring("Node connected"), ContainSubstring("Node disconnected")))
	w.g.Expect(w.logs.of("{map}")).To(BeEmpty())
}

func TestChangesDuringSession(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	a, r := w.connect("edge-1"), newReplica()
	w.g.Expect(names(a.sync(r))).To(Equal([]string{"bookmark"}))

	w.put(configMap("a", "2", "one"))
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}))
	w.put(configMap("a", "3", "two"))
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}))
	w.delete(configMap("a", "3", "two"), "4")
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"-a", "bookmark"}))
	w.settled("edge-1", 0)

	recreated := configMap("a", "5", "three")
	recreated.Object.UID = "another"
	w.put(recreated)
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}))
	w.g.Expect(r.held).To(HaveKeyWithValue(recreated.Object.Key, HaveField("UID", "another")))
	w.settled("edge-1", 1)
}

// An unapplied object makes the digest another one, so that the hub asks and knows.
func TestUnappliedInventory(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	item := configMap("a", "10", "a")
	w.put(item)
	r := w.holding(item.Object.Key)
	a := w.connect("edge-1")
	message := hello(r)
	message.GetHello().InventoryDigest[0]++
	a.send(message)
	a.nextWelcome()
	w.g.Expect(a.next().GetNeedInventory()).NotTo(BeNil())
	entry := r.entries()[0]
	entry.State, entry.Message = pb.ApplyState_APPLY_STATE_FAILED, "the API server is down"
	a.send(inventoryPart(true, entry))
	a.nextBookmark()
	state, _ := w.hub.Node("edge-1")
	w.g.Expect(state.Summary.Failures).To(ConsistOf(HaveField("Message", "the API server is down")))
}

// A node whose EdgeNode does not exist yet is left as it is until it does.
func TestNodeThatDoesNotExistYet(t *testing.T) {
	w := newWorld(t, newTCP(t))
	item := configMap("a", "10", "a")
	w.put(item)
	r := newReplica()
	r.held[configMap("old", "", "").Object.Key] = object.Holding{UID: "old", Version: "1"}
	a := w.connect("edge-1")
	w.g.Expect(names(a.sync(r))).To(Equal([]string{"inventory?", "bookmark"}))
	w.addNode("edge-1")
	w.g.Expect(names(a.follow(r))).To(ConsistOf("-old", "+a", "bookmark"))
	w.settled("edge-1", 1)
}

// The manager lags behind what the node holds, which it learns from a refusal. It
// sends once it has caught up, and needs no other reason to.
func TestStaleNackWaitsForTheManager(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	a, r := w.connect("edge-1"), newReplica()
	a.sync(r)
	w.put(configMap("a", "10", "old"))
	put := a.nextPut()
	newer := object.DigestOf([]byte("newer"))
	a.send(nack(&pb.Nack{
		Sequence: put.GetSequence(), Code: pb.NackCode_NACK_CODE_STALE,
		HeldUid: "uid-a", HeldVersion: "15", HeldDigest: newer[:],
	}))
	w.eventually(func() []string { return w.tables[configMaps].Awaited() }).Should(Equal([]string{"15"}))

	w.tables[configMaps].Bookmark("20")
	put = a.nextPut()
	w.g.Expect(put.GetForce()).To(BeTrue(), "the API server went back")
	w.g.Expect(put.GetVersion()).To(Equal("10"))
}

// The same, learned when an acknowledgement lets go of a newer wish.
func TestRestoredBackupBehindAFlight(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	a := w.connect("edge-1")
	a.sync(newReplica())
	w.put(configMap("a", "30", "new"))
	put := a.nextPut()
	key := configMap("a", "", "").Object.Key
	told := w.observer.progressOf("edge-1", key)
	w.tables[configMaps].Replace([]desired.Item{configMap("a", "10", "restored")}, "12")
	w.eventually(func() int { return w.observer.progressOf("edge-1", key) }).Should(BeNumerically(">", told))
	a.send(ack(put.GetSequence()))
	w.eventually(func() []string { return w.tables[configMaps].Awaited() }).Should(Equal([]string{"30"}))
	w.tables[configMaps].Rewind([]string{"30"}, "13")
	put = a.nextPut()
	w.g.Expect(put.GetForce()).To(BeTrue())
	w.g.Expect(put.GetVersion()).To(Equal("10"))
}

func TestRejectedObjectDoesNotHoldUpOthers(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	w.put(configMap("a", "10", "bad"))
	a, r := w.connect("edge-1"), newReplica()
	a.send(hello(r))
	a.nextWelcome()
	a.send(nack(&pb.Nack{Sequence: a.nextPut().GetSequence(), Code: pb.NackCode_NACK_CODE_REJECT, Message: "not JSON"}))
	a.bookmarkAfter(1)
	key := configMap("a", "", "").Object.Key
	_, failures, _ := w.hub.Progress("edge-1", []object.Key{key})
	w.g.Expect(failures).To(ConsistOf(And(HaveField("Reason", delivery.FailedRejected), HaveField("Message", "not JSON"))))
	w.put(configMap("b", "11", "good"))
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+b", "bookmark"}))
	w.put(configMap("a", "12", "better"))
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}))
	w.settled("edge-1", 2)
}

func TestAgentsLimitIsKept(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	w.put(configMap("large", "10", "12345"))
	w.put(configMap("small", "10", "1234"))
	a, r := w.connect("edge-1"), newReplica()
	message := hello(r)
	message.GetHello().MaxObjectBytes = 4
	a.send(message)
	a.greet()
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+small", "bookmark"}))
	state, _ := w.hub.Node("edge-1")
	w.g.Expect(state.Summary.Failures).To(ConsistOf(HaveField("Reason", delivery.FailedTooLarge)))
}

// An agent that acknowledges one message at a time, by ranges and out of order.
func TestAcksByRange(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	for i := range 5 {
		w.put(configMap(fmt.Sprint("a-", i), "10", "a"))
	}
	a := w.connect("edge-1")
	a.send(hello(newReplica()))
	a.nextWelcome()
	for range 5 {
		a.nextPut()
	}
	a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{
		Ranges: []*pb.SequenceRange{{First: 4, Last: 5}, {First: 2, Last: 2}},
	}}})
	held := func() int { state, _ := w.hub.Node("edge-1"); return state.Summary.Held }
	w.eventually(held).Should(Equal(3))
	a.send(ack(5))
	a.nextBookmark()
	w.eventually(held).Should(Equal(5))
}
