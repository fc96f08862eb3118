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
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

func TestNothingToDoIsABookmark(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, _ := fullNode(3)
	g.Expect(next(n, start)).To(Equal([]string{"bookmark"}))
	g.Expect(next(n, start)).To(BeEmpty(), "once is enough")
}

func TestBookmarkGoesWithTheLastThatIsSent(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := New(defaults, nil)
	n.Desire(start, []Change{wanted(version(named("a"), "1", 1)), wanted(version(named("b"), "1", 1))})
	g.Expect(words(n.Next(start, 1, all))).To(Equal([]string{"1 put a 1"}))
	g.Expect(words(n.Next(start, 1, all))).To(Equal([]string{"2 put b 1"}), "there is room for no more")
	g.Expect(words(n.Next(start, 1, all))).To(Equal([]string{"bookmark"}), "without an answer")
	mustAck(t, n, start, 2)
	g.Expect(words(n.Next(start, all, all))).To(BeEmpty())
	n.Desire(start, []Change{unwanted(named("a"))})
	g.Expect(words(n.Next(start, all, all))).To(Equal([]string{"3 delete a uid-a", "bookmark"}))
}

// What changes while it is under way is still to be sent.
func TestNoBookmarkBehindAnOutdatedMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change Change
		after  []string
	}{
		"changed":   {wanted(version(named("a"), "2", 1)), []string{"3 put a 2", "bookmark"}},
		"deleted":   {unwanted(named("a")), []string{"3 delete a uid-a", "bookmark"}},
		"too large": {wanted(version(named("a"), "2", defaults.MaxObjectBytes+1)), []string{"bookmark"}},
		"frozen":    {Change{Key: named("a"), Want: desired.Want{Frozen: true}}, nil},
	} {
		g := NewWithT(t)
		n := New(defaults, nil)
		n.Desire(start, []Change{wanted(version(named("a"), "1", 1))})
		g.Expect(words(n.Next(start, all, all))).To(Equal([]string{"1 put a 1", "bookmark"}))
		n.Desire(start, []Change{c.change, wanted(version(named("b"), "1", 1))})
		sent := []string{"2 put b 1"}
		if c.after == nil {
			sent = append(sent, "bookmark")
		}
		g.Expect(words(n.Next(start, all, all))).To(Equal(sent), name)
		mustAck(t, n, start, 1)
		g.Expect(words(n.Next(start, all, all))).To(HaveExactElements(c.after), name)
	}
}

// A bookmark that came with what was refused counts for nothing; the next one says so.
func TestBookmarkAfterARefusal(t *testing.T) {
	t.Parallel()
	for code, after := range map[Code][]string{
		NackRetry: {"2 put a 1", "bookmark"}, NackReject: {"bookmark"}, NackNoBase: {"2 put a 1", "bookmark"},
	} {
		g := NewWithT(t)
		n := New(defaults, nil)
		n.Desire(start, []Change{wanted(version(named("a"), "1", 1))})
		g.Expect(n.Next(start, all, all)).To(HaveExactElements(BeAssignableToTypeOf(Put{}), Equal(Bookmark{})))
		mustNack(t, n, start, Nack{Sequence: 1, Code: code})
		messages := n.Next(start.Add(time.Minute), all, all)
		g.Expect(words(messages)).To(Equal(after))
		g.Expect(messages[len(messages)-1]).To(Equal(Bookmark{Nacks: 1}))
	}
}

// What others need comes first; removals come before that, in the reverse order.
func TestOrderOfKinds(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	kinds := []object.Key{
		{Group: "apps", Kind: "Deployment"}, {Group: "example.com", Kind: "Widget"}, {Kind: "ConfigMap"}, {Kind: "Namespace"},
	}
	var changes []Change
	inventory := map[object.Key]Held{}
	for i, kind := range kinds {
		added, removed := kind, kind
		added.Name, removed.Name = fmt.Sprintf("new-%d", i), fmt.Sprintf("old-%d", i)
		inventory[removed] = holding(version(removed, "1", 1))
		changes = append(changes, wanted(version(added, "1", 1)), unwanted(removed))
	}
	n := New(defaults, inventory)
	n.Desire(start, changes)
	g.Expect(next(n, start)).To(Equal([]string{
		"1 delete old-0 uid-old-0", "2 delete old-1 uid-old-1", "3 delete old-2 uid-old-2", "4 delete old-3 uid-old-3",
		"5 put new-3 1", "6 put new-2 1", "7 put new-1 1", "8 put new-0 1",
	}))
}

func TestFirstComeFirstServedWithinAKind(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := New(defaults, nil)
	for _, name := range []string{"c", "a", "b"} {
		n.Desire(start, []Change{wanted(version(named(name), "1", 1))})
	}
	n.Desire(start, []Change{wanted(version(named("c"), "2", 1))})
	g.Expect(next(n, start)).To(Equal([]string{"1 put c 2", "2 put a 1", "3 put b 1"}), "a change keeps its place")
}

func TestNewestVersionWins(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := New(defaults, nil)
	key := named("a")
	for i := range 100 {
		n.Desire(start, []Change{wanted(version(key, fmt.Sprint(i+1), 1))})
	}
	g.Expect(next(n, start)).To(Equal([]string{"1 put a 100"}))
	for i := range 100 {
		n.Desire(start, []Change{wanted(version(key, fmt.Sprint(i+101), 1))})
	}
	g.Expect(next(n, start)).To(BeEmpty(), "one in flight per object")
	mustAck(t, n, start, 1)
	g.Expect(next(n, start)).To(Equal([]string{"2 put a 200"}))
}

func TestDeletedWhileInFlight(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := New(defaults, nil)
	o := version(named("a"), "1", 1)
	n.Desire(start, []Change{wanted(o)})
	g.Expect(next(n, start)).To(HaveLen(1))
	n.Desire(start, []Change{unwanted(o.Key)})
	g.Expect(n.Size()).To(Equal(1))
	mustAck(t, n, start, 1)
	g.Expect(next(n, start)).To(Equal([]string{"2 delete a uid-a"}))
}

func TestChangedBackWhileInFlight(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	first, second := version(named("a"), "1", 1), version(named("a"), "2", 1)
	n := New(defaults, inventoryOf(first))
	n.Desire(start, []Change{wanted(second)})
	g.Expect(next(n, start)).To(HaveLen(1))
	back := *first
	back.Version = "3"
	n.Desire(start, []Change{wanted(&back)})
	expectProgress(g, n, first.Key, InProgress)
	mustAck(t, n, start, 1)
	g.Expect(next(n, start)).To(Equal([]string{"2 put a 3"}))
}

// What comes and goes while the window is full leaves nothing behind.
func TestMemoryIsBoundedByObjectsNotEvents(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config := defaults
	config.WindowMessages = 1
	n := New(config, nil)
	n.Desire(start, []Change{wanted(version(named("first"), "1", 1))})
	g.Expect(next(n, start)).To(HaveLen(1))
	for i := range 1000 {
		key := numbered(i)
		n.Desire(start, []Change{wanted(version(key, "1", 1))})
		n.Desire(start, []Change{unwanted(key)})
		n.Desire(start, []Change{{Key: numbered(i + 1000), Want: desired.Want{Frozen: true}}})
	}
	g.Expect(n.Size()).To(Equal(1))
	g.Expect(n.queue.lanes).To(BeNil(), "an empty queue takes no memory")
	g.Expect(n.queue.queued).To(BeZero())
}

// An object that is forgotten and wanted again is another entry, of which the former
// one must not take the place.
func TestForgottenAndWantedAgain(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config := defaults
	config.WindowMessages = 1
	n := New(config, nil)
	first, o := version(named("first"), "1", 1), version(named("a"), "1", 1)
	n.Desire(start, []Change{wanted(first)})
	g.Expect(next(n, start)).To(HaveLen(1))
	n.Desire(start, []Change{wanted(o)})
	n.Desire(start, []Change{unwanted(o.Key)})
	n.Desire(start, []Change{wanted(o)})
	mustAck(t, n, start, 1)
	g.Expect(next(n, start)).To(Equal([]string{"2 put a 1"}))
	mustAck(t, n, start, 2)
	n.Desire(start, []Change{unwanted(o.Key)})
	g.Expect(next(n, start)).To(Equal([]string{"3 delete a uid-a"}))
}

func TestWindowOfMessages(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config := defaults
	config.WindowMessages = 3
	n := New(config, nil)
	for i := range 10 {
		n.Desire(start, []Change{wanted(version(numbered(i), "1", 1))})
	}
	g.Expect(next(n, start)).To(HaveLen(3))
	g.Expect(next(n, start)).To(BeEmpty())
	mustAck(t, n, start, 2)
	g.Expect(next(n, start)).To(Equal([]string{"4 put x003 1", "5 put x004 1"}))
}

func TestWindowOfBytes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config := defaults
	config.WindowBytes = 100
	n := New(config, nil)
	for i, size := range []int{60, 40, 1, 500, 10, 10} {
		n.Desire(start, []Change{wanted(version(numbered(i), "1", size))})
	}
	g.Expect(next(n, start)).To(Equal([]string{"1 put x000 1", "2 put x001 1", "3 put x002 1"}), "the oldest does not count")
	mustAck(t, n, start, 1)
	g.Expect(next(n, start)).To(BeEmpty(), "1 byte, and the next has 500")
	mustAck(t, n, start, 2)
	g.Expect(next(n, start)).To(Equal([]string{"4 put x003 1"}), "larger than the window, beside a single one")
	g.Expect(next(n, start)).To(BeEmpty())
	mustAck(t, n, start, 3)
	g.Expect(next(n, start)).To(Equal([]string{"5 put x004 1", "6 put x005 1"}), "a window full beside a larger one")
}

func TestFramesAreBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := New(defaults, nil)
	for i, size := range []int{500, 60, 40, 10} {
		n.Desire(start, []Change{wanted(version(numbered(i), "1", size))})
	}
	g.Expect(words(n.Next(start, 10, 100))).To(Equal([]string{"1 put x000 1"}), "larger than a frame, and alone")
	g.Expect(words(n.Next(start, 10, 100))).To(Equal([]string{"2 put x001 1", "3 put x002 1"}))
	g.Expect(words(n.Next(start, 10, 100))).To(Equal([]string{"4 put x003 1", "bookmark"}))
	for i := range 4 {
		n.Desire(start, []Change{wanted(version(numbered(i+10), "1", 1))})
	}
	g.Expect(words(n.Next(start, 3, 100))).To(HaveLen(3))
}

func TestReleaseForgetsAtOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := version(named("a"), "1", 1)
	h := holding(o)
	h.Retain = true
	n := New(defaults, map[object.Key]Held{o.Key: h})
	n.Desire(start, []Change{unwanted(o.Key)})
	g.Expect(next(n, start)).To(Equal([]string{"1 release a uid-a"}))
	mustAck(t, n, start, 1)
	g.Expect(n.Size()).To(BeZero())
}

func TestWaitForTheManagerToCatchUp(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	key := named("a")
	n := New(defaults, inventoryOf(version(key, "800", 1)))
	behind := Change{Key: key, Want: desired.Want{Object: version(key, "750", 1), Seen: "760"}}
	n.Desire(start, []Change{behind})
	g.Expect(n.Waits()).To(Equal([]Wait{{Key: key, Version: "800"}}))
	g.Expect(n.Waits()).To(BeEmpty())
	g.Expect(next(n, start)).To(BeEmpty(), "neither the object nor a bookmark")
	expectProgress(g, n, key, InProgress)

	behind.Want.Seen = "770"
	n.Desire(start, []Change{behind})
	g.Expect(n.Waits()).To(HaveLen(1), "looked up again, and still behind")

	there := behind
	there.Want.Object, there.Want.Seen = version(key, "801", 1), "801"
	n.Desire(start, []Change{there})
	g.Expect(next(n, start)).To(Equal([]string{"1 put a 801"}))
	g.Expect(n.Waits()).To(BeEmpty())
}

func TestForceOnceTheStepBackIsReal(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	key := named("a")
	n := New(defaults, inventoryOf(version(key, "800", 1)))
	change := Change{Key: key, Want: desired.Want{Object: version(key, "750", 1), Seen: "760"}}
	n.Desire(start, []Change{change})
	g.Expect(next(n, start)).To(BeEmpty())
	change.Want.Rewound = true
	n.Desire(start, []Change{change})
	g.Expect(next(n, start)).To(Equal([]string{"1 put a 750 force"}))
	mustAck(t, n, start, 1)

	// From here on lag is lag again.
	newer := Change{Key: key, Want: desired.Want{Object: version(key, "770", 1), Seen: "770", Rewound: true}}
	n.Desire(start, []Change{newer})
	g.Expect(next(n, start)).To(Equal([]string{"2 put a 770"}))
	mustAck(t, n, start, 2)
	n.Waits()
	n.Desire(start, []Change{change})
	g.Expect(next(n, start)).To(BeEmpty())
	g.Expect(n.Waits()).To(Equal([]Wait{{Key: key, Version: "770"}}))
}

func TestBeforeItIsToldANodeIsLeftAlone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n := New(defaults, inventoryOf(version(named("a"), "1", 1), version(named("b"), "1", 1)))
	g.Expect(n.Unsettled()).To(Equal([]object.Key{named("a"), named("b")}))
	for _, message := range n.Next(start, all, all) {
		g.Expect(message).To(Equal(Bookmark{}))
	}
}

func TestUnsettled(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	inventory := inventoryOf(version(named("frozen"), "1", 1), version(named("leaving"), "1", 1), version(named("stays"), "1", 1))
	n := New(defaults, inventory)
	n.Desire(start, []Change{
		{Key: named("frozen"), Want: desired.Want{Frozen: true}}, unwanted(named("leaving")), wanted(version(named("stays"), "1", 1)),
	})
	g.Expect(n.Unsettled()).To(Equal([]object.Key{named("frozen"), named("leaving")}))

	// What was to leave is suspended before it could be sent.
	n.Desire(start, []Change{{Key: named("leaving"), Want: desired.Want{Frozen: true}, Bulk: true}})
	g.Expect(next(n, start)).NotTo(ContainElement(ContainSubstring("leaving")))
}
