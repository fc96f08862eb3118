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

package delivery

import (
	"math"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// sent is a node to which objects x000 to x<n-1> have been sent, in this order.
func sent(t *testing.T, n int) *Node {
	t.Helper()
	node := New(defaults, nil)
	for i := range n {
		node.Desire(start, []Change{wanted(version(numbered(i), "1", 1))})
	}
	if got := len(next(node, start)); got != n {
		t.Fatalf("%d messages were sent, want %d", got, n)
	}
	return node
}

func numbers(ns ...int) []object.Key {
	var keys []object.Key
	for _, n := range ns {
		keys = append(keys, numbered(n))
	}
	return keys
}

func TestAcks(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 6)
	keys, err := n.AckRange(start, 3, 4)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(Equal(numbers(2, 3)))
	keys, err = n.Ack(start, 3)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(Equal(numbers(0, 1)), "the third was acknowledged before")
	keys, err = n.Ack(start, 2)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(BeEmpty(), "an older ack says nothing new")
	keys, err = n.AckRange(start, 1, 5)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(Equal(numbers(4)))
	keys, err = n.AckRange(start, 0, 0)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(BeEmpty())
	keys, err = n.Ack(start, 6)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(Equal(numbers(5)))
}

// However an answer comes, it is told once how long it took since the message was sent.
func TestHowLongItTook(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var persisted, applied []time.Duration
	config := defaults
	config.Persisted = func(took time.Duration) { persisted = append(persisted, took) }
	config.Applied = func(took time.Duration) { applied = append(applied, took) }
	n := New(config, nil)
	a, b := version(named("a"), "1", 1), version(named("b"), "1", 1)
	n.Desire(start, []Change{wanted(a), wanted(b)})
	g.Expect(next(n, start)).To(HaveLen(2))
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

	mustAck(t, n, at(1), 1)
	mustAck(t, n, at(2), 2)
	mustAck(t, n, at(3), 2)
	g.Expect(persisted).To(Equal([]time.Duration{time.Second, 2 * time.Second}))

	result := func(o *object.Object, state State) Result {
		return Result{Key: o.Key, UID: o.UID, Digest: o.Digest, State: state}
	}
	n.Applied(at(4), result(a, Progressing))
	g.Expect(applied).To(BeEmpty(), "it is not healthy")
	n.Applied(at(5), result(a, Applied))
	n.Applied(at(6), result(a, Applied))
	_, err := n.Done(at(7), 1, 2)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(applied).To(Equal([]time.Duration{5 * time.Second, 7 * time.Second}))

	n.Desire(at(10), []Change{unwanted(a.Key)})
	g.Expect(next(n, at(10))).To(HaveLen(1))
	mustAck(t, n, at(11), 3)
	n.Applied(at(13), Result{Key: a.Key, UID: a.UID, Removed: true})
	g.Expect(persisted[2:]).To(Equal([]time.Duration{time.Second}))
	g.Expect(applied[2:]).To(Equal([]time.Duration{3 * time.Second}))
}

// What is under way is remembered once, however the answers come.
func TestAckRangesRememberLittle(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config := defaults
	config.WindowMessages = 4
	n := New(config, nil)
	now := start
	for i := range 1000 {
		n.Desire(now, []Change{wanted(version(numbered(i%3), strconv.Itoa(i+1), 1))})
		for _, message := range n.Next(now, 4, 100) {
			put, ok := message.(Put)
			if !ok {
				continue
			}
			var err error
			if i%2 == 0 {
				_, err = n.AckRange(now, put.Sequence, put.Sequence)
			} else {
				_, err = n.Nack(now, Nack{Sequence: put.Sequence, Code: NackReject})
			}
			g.Expect(err).NotTo(HaveOccurred())
		}
		g.Expect(len(n.sent.list)).To(BeNumerically("<=", 2*config.WindowMessages))
	}
	g.Expect(n.sequence).To(BeNumerically(">=", 900), "messages were sent")
	keys, err := n.AckRange(now, 1, n.sequence)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(BeEmpty())
	g.Expect(n.AckRange(now, 2, 1)).To(BeEmpty(), "a range backwards")
}

func TestAnswersToWhatWasNeverSent(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 2)
	_, err := n.Ack(start, 3)
	g.Expect(err).To(And(MatchError(ErrProtocol), MatchError(ContainSubstring("only 2 were sent"))))
	_, err = n.AckRange(start, 1, math.MaxUint64)
	g.Expect(err).To(MatchError(ErrProtocol))
	_, err = n.Nack(start, Nack{Sequence: 3})
	g.Expect(err).To(MatchError(ErrProtocol))
	_, err = n.Ack(start, math.MaxUint64)
	g.Expect(err).To(MatchError(ErrProtocol))
}

func TestNackOfWhatIsAnswered(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	mustAck(t, n, start, 1)
	keys, err := n.Nack(start, Nack{Sequence: 1, Code: NackReject})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(BeEmpty())
	keys, err = n.Nack(start, Nack{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keys).To(BeEmpty())
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	now, sequence := start, uint64(1)
	for _, delay := range []time.Duration{1, 2, 4, 8, 10, 10} {
		mustNack(t, n, now, Nack{Sequence: sequence, Code: NackRetry, Message: "disk full"})
		at, delayed := n.Wake()
		g.Expect(delayed).To(BeTrue())
		g.Expect(at.Sub(now)).To(Equal(delay * time.Second))
		g.Expect(next(n, at.Add(-1))).To(BeEmpty(), "neither the object nor a bookmark")
		g.Expect(next(n, at)).To(HaveLen(1))
		now = at
		sequence++
	}
	mustAck(t, n, now, sequence)
	_, delayed := n.Wake()
	g.Expect(delayed).To(BeFalse())
	n.Desire(now, []Change{wanted(version(numbered(0), "2", 1))})
	g.Expect(next(n, now)).To(HaveLen(1))
	mustNack(t, n, now, Nack{Sequence: sequence + 1, Code: NackRetry})
	at, _ := n.Wake()
	g.Expect(at.Sub(now)).To(Equal(time.Second), "a success starts over")
}

func TestTheNodeMayAskForALongerDelay(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackRetry, RetryAfter: time.Minute})
	at, _ := n.Wake()
	g.Expect(at).To(Equal(start.Add(time.Minute)))
}

func TestOthersGoOnDuringADelay(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackRetry, Message: "disk full"})
	n.Desire(start, []Change{wanted(version(named("other"), "1", 1)), wanted(version(numbered(0), "2", 1))})
	g.Expect(next(n, start)).To(Equal([]string{"2 put other 1"}), "a newer version is delayed like the old one")
	failure := expectProgress(g, n, numbered(0), Failing)
	g.Expect(failure).To(HaveField("Reason", FailedToStore))
	g.Expect(failure).To(HaveField("Message", "disk full"))
	g.Expect(next(n, start.Add(time.Second))).To(Equal([]string{"3 put x000 2"}))
	mustAck(t, n, start, 3)
	expectProgress(g, n, numbered(0), InProgress)
}

func TestUnwantedDuringADelay(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackRetry})
	n.Desire(start, []Change{unwanted(numbered(0))})
	_, delayed := n.Wake()
	g.Expect(delayed).To(BeFalse())
	g.Expect(n.Size()).To(BeZero())
	g.Expect(next(n, start)).To(Equal([]string{"bookmark"}))
}

func TestRejectedUntilItChanges(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackReject, Message: "not for me"})
	g.Expect(expectProgress(g, n, numbered(0), Failing)).To(Equal(&Failure{
		Key: numbered(0), Ref: "v1/ConfigMap/shop/x000", Reason: FailedRejected, Message: "not for me", Since: start,
	}))
	again := version(numbered(0), "1", 1)
	again.Version = "9"
	n.Desire(start.Add(1), []Change{wanted(again)})
	g.Expect(next(n, start)).To(Equal([]string{"bookmark"}), "the same content is not sent again")
	expectProgress(g, n, numbered(0), Failing)

	n.Desire(start, []Change{wanted(version(numbered(0), "2", 1))})
	expectProgress(g, n, numbered(0), InProgress)
	g.Expect(next(n, start)).To(Equal([]string{"2 put x000 2"}))

	// Changed back: it counts as changed, is sent, and may be refused again.
	n.Desire(start, []Change{wanted(again)})
	mustAck(t, n, start, 2)
	g.Expect(next(n, start)).To(Equal([]string{"3 put x000 9"}))
	mustNack(t, n, start, Nack{Sequence: 3, Code: NackReject, Message: "still not"})
	g.Expect(expectProgress(g, n, numbered(0), Failing).Message).To(Equal("still not"))
}

func TestRejectionOfWhatIsNoLongerWanted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 2)
	n.Desire(start, []Change{wanted(version(numbered(0), "2", 1)), unwanted(numbered(1))})
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackReject})
	mustNack(t, n, start, Nack{Sequence: 2, Code: NackReject})
	expectProgress(g, n, numbered(0), InProgress)
	g.Expect(next(n, start)).To(Equal([]string{"3 put x000 2"}))
	g.Expect(n.Size()).To(Equal(1))
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config := defaults
	config.MaxObjectBytes = 100
	key := named("a")
	n := New(config, inventoryOf(version(key, "1", 1)))
	n.Desire(start, []Change{wanted(version(key, "2", 101)), wanted(version(named("b"), "2", 100))})
	g.Expect(words(n.Next(start, all, all))).To(Equal([]string{"1 put b 2", "bookmark"}), "others go on")
	g.Expect(expectProgress(g, n, key, Failing)).To(And(
		HaveField("Reason", FailedTooLarge), HaveField("Message", "the object is 101 bytes; the node accepts 100")))
	mustAck(t, n, start, 1)

	n.Desire(start, []Change{wanted(version(key, "3", 100))})
	g.Expect(next(n, start)).To(Equal([]string{"2 put a 3"}))
	n.Desire(start, []Change{wanted(version(key, "4", 101))})
	mustAck(t, n, start, 2)
	expectProgress(g, n, key, Failing)
	n.Desire(start, []Change{unwanted(key)})
	g.Expect(next(n, start)).To(Equal([]string{"3 delete a uid-a"}), "what it holds of it is still removed")
	mustAck(t, n, start, 3)
	expectProgress(g, n, key, InProgress)
}

func TestStale(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	key := named("a")
	first := version(key, "5", 1)
	h := holding(first)
	h.Retain = true
	n := New(defaults, map[object.Key]Held{key: h})
	behind := Change{Key: key, Want: desired.Want{Object: version(key, "6", 1), Retain: true, Seen: "6"}}
	n.Desire(start, []Change{behind})
	g.Expect(next(n, start)).To(Equal([]string{"1 put a 6"}))

	// The node holds what the manager has not seen; whether it retains it is not said.
	newer := holding(version(key, "7", 1)).Holding
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackStale, Held: newer})
	g.Expect(n.Waits()).To(Equal([]Wait{{Key: key, Version: "7"}}))
	g.Expect(next(n, start)).To(BeEmpty())

	n.Desire(start, []Change{{Key: key, Want: desired.Want{Seen: "8"}}})
	g.Expect(next(n, start)).To(Equal([]string{"2 release a uid-a"}), "it is still retained")
}

func TestRefusalsThatMakeNoSenseBackOff(t *testing.T) {
	t.Parallel()
	older := holding(version(numbered(0), "0", 1)).Holding
	for name, nack := range map[string]Nack{
		"stale, holding an older version": {Code: NackStale, Held: older},
		"stale, holding nothing":          {Code: NackStale},
		"a code of the future":            {Code: 99},
	} {
		g := NewWithT(t)
		n := sent(t, 1)
		nack.Sequence = 1
		mustNack(t, n, start, nack)
		g.Expect(next(n, start)).To(BeEmpty(), name)
		at, delayed := n.Wake()
		g.Expect(delayed).To(BeTrue(), name)
		g.Expect(at).To(Equal(start.Add(time.Second)), name)
	}
	for _, code := range []Code{NackReject, NackStale, NackRetry} {
		g := NewWithT(t)
		n, keys := fullNode(1)
		n.Desire(start, []Change{unwanted(keys[0])})
		g.Expect(next(n, start)).To(HaveLen(1))
		mustNack(t, n, start, Nack{Sequence: 1, Code: code})
		g.Expect(next(n, start)).To(BeEmpty(), "a removal, code %d", code)
		g.Expect(next(n, start.Add(time.Second))).To(HaveLen(1), "a removal, code %d", code)
	}
}

func TestAppliedResults(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	o := version(numbered(0), "1", 1)
	result := Result{Key: o.Key, UID: o.UID, Digest: o.Digest, State: Applied}
	g.Expect(n.Applied(start, result)).To(BeFalse(), "not before the ack")
	mustAck(t, n, start, 1)
	expectProgress(g, n, o.Key, InProgress)

	for name, change := range map[string]func(*Result){
		"another key":             func(r *Result) { r.Key = named("b") },
		"another uid":             func(r *Result) { r.UID = "v" },
		"another content":         func(r *Result) { r.Digest = object.Digest{9} },
		"a removal":               func(r *Result) { r.Removed = true },
		"a removal under way":     func(r *Result) { r.State = Removing },
		"a removal that fails":    func(r *Result) { r.State = RemoveFailed },
		"of another uid, removed": func(r *Result) { r.UID, r.Removed = "v", true },
	} {
		other := result
		change(&other)
		g.Expect(n.Applied(start, other)).To(BeFalse(), name)
		expectProgress(g, n, o.Key, InProgress)
	}

	failed := result
	failed.State, failed.Message = ApplyFailed, "no space"
	g.Expect(n.Applied(start, failed)).To(BeTrue())
	g.Expect(n.Applied(start.Add(time.Hour), failed)).To(BeTrue())
	g.Expect(expectProgress(g, n, o.Key, Failing)).To(And(
		HaveField("Message", "no space"), HaveField("Since", start), HaveField("Reason", FailedToApply)))
	g.Expect(n.Applied(start, result)).To(BeTrue())
	expectProgress(g, n, o.Key, InSync)
}

func TestRemovalResults(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(1)
	o := version(keys[0], "5", 1)
	n.Desire(start, []Change{unwanted(o.Key)})
	g.Expect(next(n, start)).To(HaveLen(1))
	mustAck(t, n, start, 1)
	expectProgress(g, n, o.Key, InProgress)
	g.Expect(n.Applied(start, Result{Key: o.Key, UID: o.UID, Digest: o.Digest, State: Applied})).To(BeFalse(), "too late")
	g.Expect(n.Applied(start, Result{Key: o.Key, UID: o.UID, State: RemoveFailed, Message: "busy"})).To(BeTrue())
	g.Expect(expectProgress(g, n, o.Key, Failing)).To(HaveField("Reason", FailedToRemove))
	g.Expect(n.Applied(start, Result{Key: o.Key, UID: "v", Removed: true})).To(BeFalse())
	g.Expect(n.Applied(start, Result{Key: o.Key, UID: o.UID, Removed: true})).To(BeTrue())
	expectProgress(g, n, o.Key, InSync)
	g.Expect(n.Size()).To(BeZero())
}

func TestDone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 3)
	g.Expect(n.Done(start, 1, 3)).To(BeEmpty(), "not before the ack")
	mustAck(t, n, start, 3)
	n.Desire(start, []Change{wanted(version(numbered(1), "2", 1))})
	g.Expect(next(n, start)).To(Equal([]string{"4 put x001 2"}))
	mustAck(t, n, start, 4)
	g.Expect(n.Done(start, 1, 3)).To(Equal(numbers(0, 2)), "the second was replaced")
	expectProgress(g, n, numbered(0), InSync)
	expectProgress(g, n, numbered(1), InProgress)
	g.Expect(n.Done(start, 1, 4)).To(Equal(numbers(1)))
	g.Expect(n.Done(start, 4, 1)).To(BeEmpty(), "backwards")
	g.Expect(n.Done(start, 1, 4)).To(BeEmpty(), "twice")
	_, err := n.Done(start, 1, 5)
	g.Expect(err).To(MatchError(ErrProtocol))

	n.Desire(start, []Change{unwanted(numbered(0)), unwanted(numbered(1))})
	g.Expect(next(n, start)).To(HaveLen(2))
	mustAck(t, n, start, 6)
	o := version(numbered(0), "1", 1)
	g.Expect(n.Applied(start, Result{Key: o.Key, UID: o.UID, Removed: true})).To(BeTrue())
	g.Expect(n.Done(start, 1, 6)).To(Equal(numbers(1)), "a result has said it of the other")
	g.Expect(n.Size()).To(Equal(1))
	g.Expect(n.undone.len()).To(BeZero())
	g.Expect(n.undone.list).To(BeNil())
}

// What is applied and not healthy yet is not in sync, until nothing is left to do.
func TestProgressing(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := sent(t, 1)
	mustAck(t, n, start, 1)
	o := version(numbered(0), "1", 1)
	g.Expect(n.Applied(start, Result{Key: o.Key, UID: o.UID, Digest: o.Digest, State: Progressing, Message: "0 of 1"})).To(BeTrue())
	expectProgress(g, n, o.Key, InProgress)
	g.Expect(n.Done(start, 1, 1)).To(Equal(numbers(0)))
	expectProgress(g, n, o.Key, InSync)
}

func TestNoBase(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(1)
	before, after := version(keys[0], "5", 1), version(keys[0], "6", 1)
	n.Desire(start, []Change{wanted(after)})
	base := func() object.Digest { return n.Next(start.Add(time.Second), all, all)[0].(Put).Base }
	g.Expect(base()).To(Equal(before.Digest))
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackNoBase})
	g.Expect(base()).To(BeZero(), "at once, and in full")
	mustNack(t, n, start, Nack{Sequence: 2, Code: NackNoBase})
	g.Expect(next(n, start)).To(BeEmpty(), "makes no sense")
	g.Expect(next(n, start.Add(time.Second))).To(Equal([]string{"3 put x000 6"}))
	mustAck(t, n, start, 3)
	n.Desire(start, []Change{wanted(version(keys[0], "7", 1))})
	g.Expect(base()).To(Equal(after.Digest))

	again := version(keys[0], "8", 1)
	again.UID = "another"
	mustAck(t, n, start, 4)
	n.Desire(start, []Change{wanted(again)})
	g.Expect(base()).To(BeZero(), "another object of the same name")
}

// The node holds something newer than the deletion is as of.
func TestStaleDelete(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	key := named("a")
	n := New(defaults, inventoryOf(version(key, "5", 1)))
	n.Desire(start, []Change{{Key: key, Want: desired.Want{Object: version(key, "5", 1), Seen: "6"}}})
	n.Desire(start, []Change{{Key: key, Want: desired.Want{Seen: "6"}}})
	g.Expect(n.Next(start, all, all)).To(ContainElement(Delete{Sequence: 1, Key: key, UID: "uid-a", AsOf: "6"}))
	newer := holding(version(key, "8", 1)).Holding
	mustNack(t, n, start, Nack{Sequence: 1, Code: NackStale, Held: newer})
	g.Expect(n.Waits()).To(Equal([]Wait{{Key: key, Version: "8"}}))
	g.Expect(next(n, start)).To(BeEmpty())
	n.Desire(start, []Change{{Key: key, Want: desired.Want{Seen: "9"}}})
	g.Expect(n.Next(start, all, all)).To(ContainElement(Delete{Sequence: 2, Key: key, UID: "uid-a", AsOf: "9"}))

	// A refusal that does not name anything newer makes no sense.
	mustNack(t, n, start, Nack{Sequence: 2, Code: NackStale, Held: newer})
	g.Expect(next(n, start)).To(BeEmpty())
	g.Expect(next(n, start.Add(time.Second))).To(HaveLen(1))

	// The API server went back: what the node holds does not matter.
	n = New(defaults, inventoryOf(version(key, "8", 1)))
	n.Desire(start, []Change{{Key: key, Want: desired.Want{Object: version(key, "8", 1), Seen: "8"}}})
	n.Desire(start, []Change{{Key: key, Want: desired.Want{Seen: "6"}}})
	g.Expect(next(n, start)).To(BeEmpty())
	n.Desire(start, []Change{{Key: key, Want: desired.Want{Seen: "6", Rewound: true}}})
	g.Expect(n.Next(start, all, all)).To(ContainElement(Delete{Sequence: 1, Key: key, UID: "uid-a"}))
}

func TestTimes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := New(defaults, nil)
	n.Desire(start, []Change{wanted(version(named("a"), "1", 1))})
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	times := func() []time.Time {
		for o := range n.Objects() {
			return []time.Time{o.Sent, o.Persisted, o.Applied}
		}
		return nil
	}
	g.Expect(times()).To(Equal([]time.Time{{}, {}, {}}))
	g.Expect(next(n, at(1))).To(HaveLen(1))
	mustAck(t, n, at(2), 1)
	g.Expect(n.Done(at(3), 1, 1)).To(HaveLen(1))
	g.Expect(times()).To(Equal([]time.Time{at(1), at(2), at(3)}))
}
