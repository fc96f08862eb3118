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
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestHelloDeclaresWhatIsHeld(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := openStore(t)
	hold(g, s, configMap("a", "1"), configMap("b", "1"))
	g.Expect(s.SetClusterEpoch("cluster-0")).To(Succeed())
	count, digest, err := s.InventoryDigest()
	g.Expect(err).NotTo(HaveOccurred())
	h := newHub(t)
	startAgent(t, h, s)

	_, hello := h.greet()

	g.Expect(hello.GetProtocolVersions()).To(Equal([]uint32{protocol.Version}))
	g.Expect(hello.GetAgentVersion()).To(Equal("v1.2.3"))
	g.Expect(hello.GetBootId()).To(Equal("boot-1"))
	g.Expect(hello.GetStoreEpoch()).To(Equal(s.Epoch()))
	g.Expect(hello.GetClusterEpoch()).To(Equal("cluster-0"))
	g.Expect(hello.GetInventoryCount()).To(BeEquivalentTo(count))
	g.Expect(hello.GetInventoryDigest()).To(Equal(digest[:]))
	g.Expect(hello.GetMaxObjectBytes()).To(BeEquivalentTo(1 << 20))
}

func TestAckComesOnceDurableAndThenTheTargetsWork(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	a := startAgent(t, h, s)
	p, _ := h.greet(put(1, configMap("a", "1")), put(2, configMap("b", "1")))

	g.Expect(p.nextAck()).To(BeEquivalentTo(2))
	g.Expect(held(g, s)).To(Equal(map[string]string{"a": "1", "b": "1"}))
	g.Expect(<-a.work).To(Equal([]object.Key{configMap("a", "1").Key, configMap("b", "1").Key}))

	p.send(del(3, configMap("a", "1")))
	g.Expect(p.nextAck()).To(BeEquivalentTo(3))
	g.Expect(<-a.work).To(Equal([]object.Key{configMap("a", "1").Key}))

	a.Report(result("b", pb.ApplyState_APPLY_STATE_APPLIED))
	g.Expect(p.nextResults()).To(Equal(map[string]pb.ApplyState{"b": pb.ApplyState_APPLY_STATE_APPLIED}))
}

// countingStore counts commits.
type countingStore struct {
	*store.Store
	commits int
}

func (s *countingStore) Commit(ops []store.Op) ([]store.Outcome, error) {
	s.commits++
	return s.Store.Commit(ops)
}

func TestWhatHasArrivedIsCommittedTogether(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	counting := &countingStore{Store: openStore(t)}
	work := 0
	l := New(Config{Hubs: hubA, Store: counting, Apply: func(keys ...object.Key) { work += len(keys) }, MaxObjectBytes: 1 << 20})
	s := newSession(l, "https://a:1", nil, newOutbox())
	s.phase = open
	const frames = 200
	for i := range uint64(frames) {
		s.frames <- received{[]*pb.HubMessage{put(i+1, configMap(fmt.Sprintf("object-%d", i), "1"))}, 0}
	}
	close(s.frames)

	g.Expect(s.commitFrames()).To(Succeed())

	g.Expect(counting.commits).To(Equal(1))
	g.Expect(work).To(Equal(frames))
	answers := nextMessages(g, s.out, epoch)
	g.Expect(answers).To(HaveLen(1))
	g.Expect(answers[0].GetAck().GetCumulative()).To(BeEquivalentTo(frames))
}

func TestManyObjects(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const count = 2000
	h, s := newHub(t), openStore(t)
	a := startAgent(t, h, s)
	p, _ := h.greet()
	go func() {
		for range a.work {
		}
	}()
	for i := range uint64(count) {
		p.send(put(i+1, configMap(fmt.Sprintf("object-%d", i), "1")))
	}
	for p.nextAck() < count {
	}
	g.Expect(held(g, s)).To(HaveLen(count))
	a.stop()
	close(a.work)
}

func TestTheFirstClusterIsRememberedAtOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	a := startAgent(t, h, s)
	h.greet()
	g.Eventually(a.Status, patience).Should(HaveField("Connected", true))
	g.Expect(s.ClusterEpoch()).To(Equal("cluster-1"))
}

func TestBookmarkCompletesAndRemembersTheCluster(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	g.Expect(s.SetClusterEpoch("cluster-0")).To(Succeed())
	a := startAgent(t, h, s)
	p, _ := h.greet()
	g.Eventually(a.Status, patience).Should(HaveField("Connected", true))
	g.Expect(a.Status().Complete).To(BeFalse())
	g.Expect(s.ClusterEpoch()).To(Equal("cluster-0"), "objects of that cluster may still be held")

	p.send(bookmark())

	g.Eventually(a.Status, patience).Should(HaveField("Complete", true))
	g.Expect(s.ClusterEpoch()).To(Equal("cluster-1"))
	p.close(websocket.CloseInternalServerErr, "oops")
	h.greet()
	g.Eventually(a.Status, patience).Should(And(HaveField("Connected", true), HaveField("Complete", false)))
}

func TestTheViewOfABookmarkIsShownInTheNextHello(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	a := startAgent(t, h, s)
	viewed := bookmark()
	viewed.GetBookmark().View = []byte("view-1")
	p, hello := h.greet(viewed)
	g.Expect(hello.GetView()).To(BeEmpty())
	g.Eventually(a.Status, patience).Should(HaveField("Complete", true))
	p.close(websocket.CloseInternalServerErr, "")
	_, hello = h.greet(bookmark())
	g.Expect(hello.GetView()).To(BeEquivalentTo("view-1"))
	g.Eventually(a.Status, patience).Should(HaveField("Complete", true))
	g.Expect(s.View()).To(BeEquivalentTo("view-1"), "a bookmark without a view says nothing")
}

func TestADeleteByAHubThatKnowsLessIsStale(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	hold(g, s, configMap("a", "7"))
	startAgent(t, h, s)
	late := del(1, configMap("a", "7"))
	late.GetDelete().AsOf = "6"
	p, _ := h.greet(late)

	nack := p.next().GetNack()
	g.Expect(nack.GetCode()).To(Equal(pb.NackCode_NACK_CODE_STALE))
	g.Expect(nack.GetHeldVersion()).To(Equal("7"))
	g.Expect(p.nextAck()).To(BeEquivalentTo(1))
	g.Expect(p.nextResults()).To(Equal(map[string]pb.ApplyState{"a": pb.ApplyState_APPLY_STATE_PENDING}))
	g.Expect(held(g, s)).To(Equal(map[string]string{"a": "7"}))
}

func TestInventoryIsSentWhenAskedFor(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	a, b := configMap("a", "1"), configMap("b", "2")
	hold(g, s, a, b)
	_, err := s.Commit([]store.Op{{Delete: &store.Delete{Key: b.Key, UID: b.UID}}})
	g.Expect(err).NotTo(HaveOccurred())
	startAgent(t, h, s)
	p, _ := h.greet(needInventory())

	inventory := p.next().GetInventory()

	g.Expect(inventory.GetLast()).To(BeTrue())
	g.Expect(inventory.GetEntries()).To(HaveExactElements(
		And(HaveField("Key.Name", "a"), HaveField("Uid", a.UID), HaveField("Version", "1"),
			HaveField("Digest", a.Digest[:]), HaveField("State", pb.ApplyState_APPLY_STATE_PENDING)),
		And(HaveField("Key.Name", "b"), HaveField("State", pb.ApplyState_APPLY_STATE_REMOVING))))
}

func TestResultsWaitForTheHubsAnswerToHello(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]*pb.HubMessage{
		"a bookmark":       bookmark(),
		"a put":            put(1, configMap("b", "1")),
		"no inventory yet": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h, s := newHub(t), openStore(t)
			hold(g, s, configMap("a", "1"))
			a := startAgent(t, h, s)
			p := h.accept()
			g.Expect(p.next().GetHello()).NotTo(BeNil())
			// What changes after the snapshot in Hello must reach the hub after it.
			a.Report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
			p.send(welcome())
			if answer == nil {
				p.send(needInventory())
				g.Expect(p.next().GetInventory()).NotTo(BeNil())
				a.Report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
			} else {
				p.send(answer)
			}
			message := p.next()
			if message.GetAck() != nil {
				message = p.next()
			}
			g.Expect(message.GetApplied().GetResults()).To(ContainElement(HaveField("Key.Name", "a")))
		})
	}
}

func TestWhatNeedsNoWorkIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), openStore(t)
	applied, newer := configMap("applied", "5"), configMap("newer", "7")
	hold(g, s, applied, newer)
	entry, _, err := s.Peek(applied.Key)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.SetStates([]store.StateChange{{Key: applied.Key, Revision: entry.Revision, State: store.Applied}})).To(Succeed())
	startAgent(t, h, s)
	p, _ := h.greet(put(1, applied), put(2, configMap("newer", "6")), del(3, configMap("gone", "1")))

	nack := p.next().GetNack()
	g.Expect(nack.GetSequence()).To(BeEquivalentTo(2))
	g.Expect(nack.GetCode()).To(Equal(pb.NackCode_NACK_CODE_STALE))
	g.Expect(nack.GetHeldVersion()).To(Equal("7"))
	g.Expect(p.nextAck()).To(BeEquivalentTo(3))
	states := map[string]pb.ApplyState{}
	for len(states) < 3 {
		for name, state := range p.nextResults() {
			states[name] = state
		}
	}
	g.Expect(states).To(Equal(map[string]pb.ApplyState{
		"applied": pb.ApplyState_APPLY_STATE_APPLIED,
		"newer":   pb.ApplyState_APPLY_STATE_PENDING,
		"gone":    pb.ApplyState_APPLY_STATE_REMOVED,
	}))
}

// fullStore fails to store until there is room.
type fullStore struct {
	*store.Store
	room atomic.Bool
}

func (s *fullStore) Commit(ops []store.Op) ([]store.Outcome, error) {
	if !s.room.Load() {
		return nil, fmt.Errorf("store %d changes: %w", len(ops), store.ErrNoSpace)
	}
	return s.Store.Commit(ops)
}

func TestAFullDiskIsToldAndGetsOver(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, s := newHub(t), &fullStore{Store: openStore(t)}
	a := startAgent(t, h, s)
	p, _ := h.greet(bookmark(), put(1, configMap("a", "1")))

	nack := p.next().GetNack()
	g.Expect(nack.GetCode()).To(Equal(pb.NackCode_NACK_CODE_RETRY))
	g.Expect(nack.GetRetryAfterMs()).To(BeNumerically(">", 0))
	g.Expect(nack.GetMessage()).To(ContainSubstring("no space left"))
	g.Expect(p.nextAck()).To(BeEquivalentTo(1))
	g.Expect(a.Status()).To(And(HaveField("Complete", false), HaveField("StoreError", ContainSubstring("no space left"))))

	// That there is room for one object says nothing about another that was refused.
	s.room.Store(true)
	p.send(put(2, configMap("b", "1")))
	g.Expect(p.nextAck()).To(BeEquivalentTo(2))
	g.Expect(a.Status()).To(And(HaveField("Complete", false), HaveField("StoreError", ContainSubstring("no space left"))))

	p.send(put(3, configMap("a", "1")), bookmark(), put(4, configMap("c", "1")))
	for acknowledged := p.nextAck(); acknowledged != 4; acknowledged = p.nextAck() {
		g.Expect(acknowledged).To(BeEquivalentTo(3), "one ack may stand for both")
	}
	g.Expect(a.Status()).To(HaveField("Complete", false), "the hub did not know of the refusal when it said so")

	knowing := bookmark()
	knowing.GetBookmark().Nacks = 1
	p.send(knowing)
	g.Eventually(a.Status, patience).Should(And(HaveField("Complete", true), HaveField("StoreError", BeEmpty())))
	g.Expect(held(g, s.Store)).To(Equal(map[string]string{"a": "1", "b": "1", "c": "1"}))
}
