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
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// slowLink is a link that carries some bytes a second, to a node that takes some time to
// store a frame, and then acknowledges it. It has a clock of its own.
type slowLink struct {
	node           *Node
	bytesPerSecond int
	oneWay, store  time.Duration

	now   time.Time
	free  time.Time
	acks  []arrival
	found map[object.Key]time.Time
}

type arrival struct {
	at       time.Time
	sequence uint64
	keys     []object.Key
}

func newSlowLink(node *Node, bytesPerSecond int, oneWay, store time.Duration) *slowLink {
	return &slowLink{
		node: node, bytesPerSecond: bytesPerSecond, oneWay: oneWay, store: store,
		now: start, free: start, found: map[object.Key]time.Time{},
	}
}

// run goes on until nothing is under way, or until some time.
func (l *slowLink) run(t *testing.T, until time.Time) {
	t.Helper()
	for {
		for l.send() {
		}
		if len(l.acks) == 0 || l.acks[0].at.After(until) {
			return
		}
		next := l.acks[0]
		l.acks, l.now = l.acks[1:], next.at
		mustAck(t, l.node, l.now, next.sequence)
	}
}

// send sends one frame.
func (l *slowLink) send() bool {
	bytes, frame := 0, arrival{}
	for _, message := range l.node.Next(l.now, 256, 64<<10) {
		if put, ok := message.(Put); ok {
			bytes += len(put.Object.Payload)
			frame.sequence = put.Sequence
			frame.keys = append(frame.keys, put.Object.Key)
		}
	}
	if frame.sequence == 0 {
		return false
	}
	if l.free.Before(l.now) {
		l.free = l.now
	}
	l.free = l.free.Add(time.Duration(bytes) * time.Second / time.Duration(l.bytesPerSecond))
	arrives := l.free.Add(l.oneWay)
	for _, key := range frame.keys {
		l.found[key] = arrives
	}
	frame.at = arrives.Add(l.store + l.oneWay)
	l.acks = append(l.acks, frame)
	return true
}

var wide = Config{WindowMessages: 4096, WindowBytes: 4 << 20, MaxObjectBytes: 4 << 20, RetryBase: time.Second, RetryMax: time.Minute}

// bulkOf is a node that holds one small object and is to get n large ones in bulk.
func bulkOf(n, bytes int) *Node {
	small := version(named("small"), "1", 10)
	node := New(wide, inventoryOf(small))
	changes := []Change{wanted(small)}
	for i := range n {
		changes = append(changes, wanted(version(numbered(i), "1", bytes)))
	}
	for i := range changes {
		changes[i].Bulk = true
	}
	node.Desire(start, changes)
	return node
}

// On a link of 64 kbit/s, a small change waits for seconds and not for all of what is sent in bulk.
func TestUrgentChangesOnASlowLink(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for _, after := range []time.Duration{0, time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second} {
		link := newSlowLink(bulkOf(1000, 1000), 8000, 20*time.Millisecond, 5*time.Millisecond)
		link.run(t, start.Add(after))
		link.now = start.Add(after)
		small := version(named("small"), "2", 10)
		link.node.Desire(link.now, []Change{wanted(small)})
		link.run(t, start.Add(time.Hour))
		waited := link.found[small.Key].Sub(start.Add(after))
		g.Expect(waited).To(BeNumerically("<", 5*time.Second), "after %s", after)
		if after >= 10*time.Second {
			g.Expect(waited).To(BeNumerically("<", 3*time.Second), "after %s, when the link is known", after)
		}
		g.Expect(link.found).To(HaveLen(1001), "everything arrives")
		g.Expect(link.now.Sub(start)).To(BeNumerically("<", 150*time.Second), "the link is kept busy: it needs 125 s at least")
	}
}

// A long way costs a few round trips and no more, however slow the disk of the node.
func TestBulkOverALongWay(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	took := func(oneWay, store time.Duration) time.Duration {
		link := newSlowLink(bulkOf(10_000, 1000), 10_000_000, oneWay, store)
		link.run(t, start.Add(time.Hour))
		g.Expect(link.found).To(HaveLen(10_000))
		return link.now.Sub(start)
	}
	for _, store := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond} {
		near, far := took(0, store), took(50*time.Millisecond, store)
		g.Expect(far).To(BeNumerically("<", near+near/2+time.Second), "stored within %s", store)
	}
	g.Expect(took(300*time.Millisecond, time.Millisecond)).To(BeNumerically("<", 8*time.Second), "by satellite")
}

func TestTheWindowShrinksToALeast(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	link := newSlowLink(bulkOf(200, 1000), 500, 0, 0)
	link.run(t, start.Add(time.Hour))
	g.Expect(link.node.window.bytes).To(Equal(leastWindow))
	g.Expect(link.found).To(HaveLen(200))
}

// Small changes now and then say nothing about how much the link carries at once.
func TestSingleMessagesLeaveTheWindow(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	node := bulkOf(0, 0)
	now := start
	for i := range 1000 {
		node.Desire(now, []Change{wanted(version(named("small"), fmt.Sprint(i+2), 1000))})
		g.Expect(next(node, now)).To(HaveLen(1))
		now = now.Add(50 * time.Millisecond)
		mustAck(t, node, now, uint64(i+1))
	}
	g.Expect(node.window.bytes).To(Equal(firstWindow))
}

// What the node never answers keeps nothing else waiting, however large it is.
func TestAMessageThatIsNeverAnswered(t *testing.T) {
	t.Parallel()
	for _, stuck := range []int{10, 10_000, 30_000, 1_000_000} {
		for _, others := range []int{1000, 30_000, 1_000_000} {
			g := NewWithT(t)
			config := wide
			config.WindowMessages = 2
			node := New(config, nil)
			node.Desire(start, []Change{wanted(version(named("stuck"), "1", stuck))})
			g.Expect(next(node, start)).To(Equal([]string{"1 put stuck 1"}))
			for i := range 100 {
				node.Desire(start, []Change{wanted(version(numbered(i), "1", others))})
				g.Expect(next(node, start)).To(Equal([]string{fmt.Sprintf("%d put x%03d 1", i+2, i)}), "%d bytes beside %d", others, stuck)
				_, err := node.AckRange(start, uint64(i+2), uint64(i+2))
				g.Expect(err).NotTo(HaveOccurred())
			}
			g.Expect(node.underWay).To(BeZero())
			g.Expect(node.inFlight).To(BeZero())
			g.Expect(next(node, start)).To(BeEmpty())
			expectProgress(g, node, named("stuck"), InProgress)
			mustAck(t, node, start, 101)
			g.Expect(next(node, start)).To(BeEmpty())
		}
	}
}

// Nor do two, one of which is larger than the window.
func TestMessagesThatAreNeverAnswered(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	node := New(wide, nil)
	node.Desire(start, []Change{wanted(version(named("large"), "1", 1_000_000))})
	node.Desire(start, []Change{wanted(version(named("small"), "1", 1000))})
	g.Expect(node.Next(start, 1, all)).To(HaveLen(1))
	g.Expect(node.Next(start, 1, all)).To(HaveLen(1))
	for i := range 100 {
		node.Desire(start, []Change{wanted(version(numbered(i), "1", 10_000))})
		g.Expect(next(node, start)).To(Equal([]string{fmt.Sprintf("%d put x%03d 1", i+3, i)}))
		_, err := node.AckRange(start, uint64(i+3), uint64(i+3))
		g.Expect(err).NotTo(HaveOccurred())
	}
}

// On a slow link large objects go one after the other, so that what is urgent waits for
// no more than one of them.
func TestLargeObjectsOnASlowLink(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	node := bulkOf(10, 100_000)
	g.Expect(node.Next(start, 1, all)).To(HaveLen(1))
	mustAck(t, node, start.Add(10*time.Second), 1)
	g.Expect(node.Next(start, 1, all)).To(HaveLen(1))
	g.Expect(node.Next(start, 1, all)).To(BeEmpty())
}

// Differences count for what they are, not for the objects that they change: a window
// holds many of them.
func TestDifferencesShareTheWindow(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var objects []*object.Object
	for i := range 200 {
		objects = append(objects, version(numbered(i), "1", 100_000))
	}
	node := New(wide, inventoryOf(objects...))
	for i := range objects {
		node.Desire(start, []Change{wanted(version(numbered(i), "2", 100_000))})
	}
	now, roundTrips, sent := start, 0, 0
	for sent < len(objects) {
		for {
			messages := node.Next(now, all, 64<<10)
			if len(messages) == 0 {
				break
			}
			g.Expect(withoutBookmark(words(messages))).To(HaveLen(1), "a frame is bounded by what it may become")
			sent++
			node.Encoded(now, uint64(sent), 160)
		}
		now = now.Add(50 * time.Millisecond)
		mustAck(t, node, now, uint64(sent))
		roundTrips++
	}
	g.Expect(roundTrips).To(BeNumerically("<", 10))

	node.Desire(now, []Change{wanted(version(numbered(0), "3", 100_000))})
	g.Expect(withoutBookmark(words(node.Next(now, all, all)))).To(HaveLen(1))
	node.Encoded(now, uint64(sent+1), 100_000)
	g.Expect(node.saved).To(BeZero(), "one that saves nothing is believed at once")
}

func TestRate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	node := bulkOf(20, 1000)
	node.SetRate(1000 + messageBytes)
	var sent []time.Duration
	for now := start; len(sent) < 20; {
		for _, message := range node.Next(now, all, all) {
			if put, ok := message.(Put); ok {
				sent = append(sent, now.Sub(start))
				mustAck(t, node, now, put.Sequence)
			}
		}
		if at, wakes := node.Wake(); wakes {
			g.Expect(node.Next(at.Add(-1), all, all)).To(BeEmpty())
			now = at
		}
	}
	g.Expect(slices.IsSorted(sent)).To(BeTrue())
	g.Expect(sent[19]).To(BeNumerically("~", 19*time.Second, time.Second))
	node.Desire(start, []Change{wanted(version(numbered(1), "2", 1_000_000))})
	now, _ := node.Wake()
	g.Expect(withoutBookmark(words(node.Next(now, all, all)))).To(HaveLen(1))
	mustAck(t, node, now, 21)
	node.Desire(now, []Change{wanted(version(numbered(2), "2", 1000))})
	node.SetRate(1 << 20)
	g.Expect(next(node, now)).To(HaveLen(1), "what was sent by the old rate is not waited for by the new one")
	node.SetRate(0)
	node.Desire(start, []Change{wanted(version(numbered(0), "2", 1000))})
	g.Expect(next(node, start)).To(HaveLen(1), "no bound any longer")
}

// The rate counts what is sent, not what it was before it was encoded.
func TestRateOfWhatIsEncoded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	node := bulkOf(100, 10_000)
	node.SetRate(1000)
	for sequence := uint64(1); sequence <= 2; sequence++ {
		g.Expect(node.Next(start, 1, all)).To(HaveLen(1))
		node.Encoded(start, sequence, 100)
	}
	g.Expect(node.inFlight).To(Equal(200))
	node.Encoded(start, 99, 100) // was never sent
	at, _ := node.Wake()
	g.Expect(at.After(start)).To(BeFalse(), "200 bytes are within the burst")
	g.Expect(node.Next(start, 1, all)).To(HaveLen(1))
	node.Encoded(start, 3, 1000)
	at, wakes := node.Wake()
	g.Expect(wakes).To(BeTrue())
	g.Expect(at).To(Equal(start.Add(1200*time.Millisecond - rateBurst)))
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	held := []*object.Object{version(named("small"), "1", 10), version(named("large"), "1", 10), version(named("gone"), "1", 10)}
	node := New(defaults, inventoryOf(held...))
	pod := version(object.Key{Kind: "Pod", Namespace: "shop", Name: "pod"}, "1", 10)
	node.Desire(start, []Change{
		{Key: pod.Key, Want: desired.Want{Object: pod}, Bulk: true},
		{Key: named("bulk"), Want: desired.Want{Object: version(named("bulk"), "1", 10)}, Bulk: true},
	})
	node.Desire(start, []Change{wanted(version(named("new"), "1", 10)), wanted(version(named("large"), "2", urgentBytes+1))})
	node.Desire(start, []Change{wanted(version(named("small"), "2", urgentBytes))})
	node.Desire(start, []Change{unwanted(named("gone"))})
	// What is looked up again without a change stays urgent.
	again := wanted(version(named("small"), "2", urgentBytes))
	again.Want.Object, again.Bulk = node.entries[again.Key].want.Object, true
	node.Desire(start, []Change{again})
	g.Expect(slices.Concat(next(node, start), next(node, start), next(node, start), next(node, start))).To(Equal([]string{
		"1 delete gone uid-gone", "2 put small 2", "3 put bulk 1", "4 put new 1", "5 put large 2", "6 put pod 1",
	}))
}
