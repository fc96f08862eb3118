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
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// nextMessages decodes the next frame as a hub does.
func nextMessages(g Gomega, o *outbox, now time.Time) []*pb.AgentMessage {
	frame, _, err := o.next(now)
	g.Expect(err).NotTo(HaveOccurred())
	if frame == nil {
		return nil
	}
	messages, err := protocol.DecodeAgent(frame)
	g.Expect(err).NotTo(HaveOccurred())
	return messages
}

func TestOutboxSendsOneAckForAllThatWaited(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	g.Expect(o.acknowledge(3, nil)).To(Succeed())
	g.Expect(o.acknowledge(8, []*pb.Nack{reject(5, errors.New("no"))})).To(Succeed())

	messages := nextMessages(g, o, epoch)

	g.Expect(messages).To(HaveLen(2))
	g.Expect(messages[0].GetNack().GetSequence()).To(BeEquivalentTo(5))
	g.Expect(messages[1].GetAck().GetCumulative()).To(BeEquivalentTo(8))
	g.Expect(nextMessages(g, o, epoch)).To(BeEmpty(), "an ack is sent once")
}

func TestOutboxHoldsTheAckBackUntilAllNacksAreOut(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const count = 1000 // of a kilobyte each: several frames
	var nacks []*pb.Nack
	for i := range count {
		nacks = append(nacks, reject(uint64(i+1), errors.New(long(protocol.MaxMessageBytes))))
	}
	o := newOutbox()
	g.Expect(o.acknowledge(count, nacks)).To(Succeed())

	seen, frames := 0, 0
	for acked := false; !acked; frames++ {
		messages := nextMessages(g, o, epoch)
		g.Expect(messages).NotTo(BeEmpty())
		for _, message := range messages {
			g.Expect(acked).To(BeFalse(), "nothing follows the ack")
			if message.GetNack() != nil {
				seen++
			}
			acked = message.GetAck() != nil
		}
	}
	g.Expect(seen).To(Equal(count))
	g.Expect(frames).To(BeNumerically(">", 4))
}

func TestOutboxBoundsRefusals(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	g.Expect(o.acknowledge(1, make([]*pb.Nack, maxNacks))).To(Succeed())
	g.Expect(o.acknowledge(2, make([]*pb.Nack, 1))).NotTo(Succeed())
}

func TestOutboxKeepsTheNewestResultOfAnObject(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	o.openResults(nil)
	o.report(result("a", pb.ApplyState_APPLY_STATE_FAILED), result("b", pb.ApplyState_APPLY_STATE_APPLIED))
	o.report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))

	messages := nextMessages(g, o, epoch)

	g.Expect(messages).To(HaveLen(1))
	g.Expect(messages[0].GetApplied().GetResults()).To(ConsistOf(
		HaveField("State", pb.ApplyState_APPLY_STATE_APPLIED), HaveField("State", pb.ApplyState_APPLY_STATE_APPLIED)))
}

func TestOutboxGathersResultsForAWhile(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	o.openResults(nil)
	o.report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
	g.Expect(nextMessages(g, o, epoch)).To(HaveLen(1), "the first goes at once")

	o.report(result("b", pb.ApplyState_APPLY_STATE_APPLIED))
	frame, wait, err := o.next(epoch.Add(resultsEvery / 4))
	g.Expect(frame).To(BeNil())
	g.Expect(wait).To(Equal(resultsEvery * 3 / 4))
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(nextMessages(g, o, epoch.Add(resultsEvery))).To(HaveLen(1))
}

func TestOutboxSendsResultsWithAnAck(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	o.openResults(nil)
	o.report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
	g.Expect(nextMessages(g, o, epoch)).To(HaveLen(1))
	o.report(result("b", pb.ApplyState_APPLY_STATE_APPLIED))
	g.Expect(o.acknowledge(1, nil)).To(Succeed())
	g.Expect(nextMessages(g, o, epoch)).To(HaveExactElements(
		HaveField("Body", BeAssignableToTypeOf(&pb.AgentMessage_Ack{})),
		HaveField("Body", BeAssignableToTypeOf(&pb.AgentMessage_Applied{}))))

	g.Expect(o.acknowledge(2, nil)).To(Succeed())
	g.Expect(nextMessages(g, o, epoch)).To(HaveLen(1), "an ack does not wait for results")
}

// expecting is an outbox that has acknowledged version 1 of objects in this order.
func expecting(g Gomega, names ...string) *outbox {
	o := newOutbox()
	o.openResults(nil)
	g.Expect(o.acknowledge(uint64(len(names)), nil)).To(Succeed())
	for i, name := range names {
		object := configMap(name, "1")
		o.expect(object.Key, expectation{sequence: uint64(i + 1), uid: object.UID, digest: object.Digest})
	}
	g.Expect(nextMessages(g, o, epoch)).To(HaveLen(1))
	return o
}

func TestOutboxTellsWhatIsDoneBySequence(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := expecting(g, "a", "b", "c", "d")
	for _, name := range []string{"d", "b", "a"} {
		o.report(result(name, pb.ApplyState_APPLY_STATE_APPLIED))
	}
	messages := nextMessages(g, o, epoch)
	g.Expect(messages).To(HaveLen(1))
	g.Expect(messages[0].GetApplied().GetResults()).To(BeEmpty())
	g.Expect(messages[0].GetApplied().GetDone()).To(HaveExactElements(
		And(HaveField("First", uint64(1)), HaveField("Last", uint64(2))),
		And(HaveField("First", uint64(4)), HaveField("Last", uint64(4)))))

	o.report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
	messages = nextMessages(g, o, epoch.Add(resultsEvery))
	g.Expect(messages[0].GetApplied().GetResults()).To(HaveLen(1), "it has been told already, and says something new")
}

func TestOutboxTellsEverythingElseInFull(t *testing.T) {
	t.Parallel()
	other := func(change func(*pb.ApplyResult)) *pb.ApplyResult {
		r := result("a", pb.ApplyState_APPLY_STATE_APPLIED)
		change(r)
		return r
	}
	for name, r := range map[string]*pb.ApplyResult{
		"not applied":   other(func(r *pb.ApplyResult) { r.State = pb.ApplyState_APPLY_STATE_FAILED }),
		"not healthy":   other(func(r *pb.ApplyResult) { r.State = pb.ApplyState_APPLY_STATE_PROGRESSING }),
		"other content": other(func(r *pb.ApplyResult) { r.Digest = make([]byte, 16) }),
		"another uid":   other(func(r *pb.ApplyResult) { r.Uid = "uid-0" }),
		"removed":       other(func(r *pb.ApplyResult) { r.State = pb.ApplyState_APPLY_STATE_REMOVED }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			o := expecting(g, "a")
			o.report(r)
			applied := nextMessages(g, o, epoch)[0].GetApplied()
			g.Expect(applied.GetResults()).To(HaveLen(1))
			g.Expect(applied.GetDone()).To(BeEmpty())

			o.report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
			applied = nextMessages(g, o, epoch.Add(resultsEvery))[0].GetApplied()
			g.Expect(applied.GetResults()).To(BeEmpty())
			g.Expect(applied.GetDone()).To(HaveLen(1), "it is still expected")
		})
	}
}

func TestOutboxTellsTheLastOfDoneAndFailed(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := expecting(g, "a", "b")
	o.report(result("a", pb.ApplyState_APPLY_STATE_APPLIED), result("b", pb.ApplyState_APPLY_STATE_FAILED))
	o.report(result("a", pb.ApplyState_APPLY_STATE_FAILED), result("b", pb.ApplyState_APPLY_STATE_APPLIED))

	applied := nextMessages(g, o, epoch)[0].GetApplied()

	g.Expect(applied.GetResults()).To(HaveExactElements(HaveField("Key.Name", "a")))
	g.Expect(applied.GetDone()).To(HaveExactElements(HaveField("First", uint64(2))))
}

func TestOutboxSplitsManyRanges(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	o.openResults(nil)
	const count = protocol.MaxEntries + 10
	for i := range uint64(count) {
		name := fmt.Sprintf("object-%d", i)
		o.expect(configMap(name, "1").Key, expectation{sequence: 2 * i, uid: "uid-" + name, digest: configMap(name, "1").Digest})
		o.report(result(name, pb.ApplyState_APPLY_STATE_APPLIED))
	}
	told := map[uint64]bool{}
	for now := epoch; len(told) < count; now = now.Add(resultsEvery) {
		messages := nextMessages(g, o, now)
		g.Expect(messages).To(HaveLen(1))
		for _, r := range messages[0].GetApplied().GetDone() {
			g.Expect(told).NotTo(HaveKey(r.GetFirst()))
			told[r.GetFirst()] = true
		}
	}
	g.Expect(nextMessages(g, o, epoch.Add(time.Hour))).To(BeEmpty())
}

// What the hub waits for most often is short: with the 6 bytes of a WebSocket frame and
// the 22 of a TLS record an ack stays within 40 bytes for the first 268 million messages.
func TestAnAckIsShort(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	g.Expect(o.acknowledge(1<<28-1, nil)).To(Succeed())
	frame, _, err := o.next(epoch)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(frame) + 6 + 22).To(BeNumerically("<=", 40))
}

func TestOutboxSplitsManyResults(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	o.openResults(nil)
	names := map[string]bool{}
	for i := range 2 * protocol.MaxEntries {
		r := result(fmt.Sprintf("object-%d", i), pb.ApplyState_APPLY_STATE_FAILED)
		r.Message = long(200)
		names[r.GetKey().GetName()] = true
		o.report(r)
	}
	for now := epoch; len(names) > 0; now = now.Add(resultsEvery) {
		messages := nextMessages(g, o, now)
		g.Expect(messages).To(HaveLen(1))
		for _, r := range messages[0].GetApplied().GetResults() {
			if !names[r.GetKey().GetName()] {
				t.Fatalf("%s was not reported, or comes twice", r.GetKey())
			}
			delete(names, r.GetKey().GetName())
		}
	}
}

func TestOutboxKeepsResultsUntilTheInventoryIsOut(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	o.report(result("before", pb.ApplyState_APPLY_STATE_APPLIED))
	g.Expect(nextMessages(g, o, epoch)).To(BeEmpty())

	o.forgetResults()
	o.report(result("since", pb.ApplyState_APPLY_STATE_APPLIED))
	o.openResults([][]byte{{1}, {2}})

	for _, want := range []byte{1, 2} {
		frame, _, err := o.next(epoch)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(frame).To(Equal([]byte{want}))
	}
	messages := nextMessages(g, o, epoch)
	g.Expect(messages).To(HaveLen(1))
	g.Expect(messages[0].GetApplied().GetResults()).To(HaveExactElements(HaveField("Key.Name", "since")))
}

func TestOutboxBoundsResultsThatNobodyReads(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	for i := range maxResults {
		o.report(&pb.ApplyResult{Key: &pb.ObjectKey{Name: strconv.Itoa(i)}})
	}
	g.Expect(o.acknowledge(1, nil)).To(Succeed())
	o.report(result("one more", pb.ApplyState_APPLY_STATE_REMOVED))
	g.Expect(o.acknowledge(2, nil)).To(MatchError(ContainSubstring("without reading")))
}

func TestOutboxFinishesOnceEverythingIsOut(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := newOutbox()
	o.openResults(nil)
	o.report(result("a", pb.ApplyState_APPLY_STATE_APPLIED))
	g.Expect(nextMessages(g, o, epoch)).To(HaveLen(1))
	o.report(result("b", pb.ApplyState_APPLY_STATE_APPLIED))
	g.Expect(o.acknowledge(1, nil)).To(Succeed())
	o.finish(errStopped)

	g.Expect(nextMessages(g, o, epoch)).To(HaveLen(2), "the ack, and the result without waiting")
	_, _, err := o.next(epoch)
	g.Expect(err).To(MatchError(errStopped))
}
