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
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

func TestGuardThresholds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		held, removed int
		heldBack      bool
	}{
		{9, 9, false}, {10, 10, true}, {19, 10, true}, {20, 10, false}, {20, 11, true}, {100, 50, false}, {100, 51, true},
	} {
		n, keys := fullNode(test.held)
		n.Desire(start, unwantedInBulk(keys[:test.removed]...))
		want := 0
		if test.heldBack {
			want = test.removed
		}
		summary := n.Summary()
		if summary.HeldBack != want || (summary.ApprovalCode != "") != test.heldBack {
			t.Errorf("of %d, %d are removed: %d are held back, code %q", test.held, test.removed, summary.HeldBack, summary.ApprovalCode)
		}
		if got := len(next(n, start)); test.heldBack && got != 1 || !test.heldBack && got != test.removed {
			t.Errorf("of %d, %d are removed: %d messages", test.held, test.removed, got)
		}
	}
}

func TestDeletedOneByOneIsNotGuarded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config := defaults
	config.WindowMessages = 1
	n, keys := fullNode(20)
	n.config = config
	for _, key := range keys {
		n.Desire(start, []Change{unwanted(key)})
	}
	// Looked up again while they wait for their turn: nothing about them is new.
	n.Desire(start, unwantedInBulk(n.Unsettled()...))
	g.Expect(n.Summary().HeldBack).To(BeZero())
	for i := range keys {
		g.Expect(next(n, start)).To(HaveLen(1))
		mustAck(t, n, start, uint64(i+1))
	}
}

func TestHalvesOfAMassDeleteCountTogether(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(18)
	n.Desire(start, unwantedInBulk(keys[:9]...))
	g.Expect(n.Summary().HeldBack).To(BeZero())
	n.Desire(start, unwantedInBulk(keys[9:]...))
	g.Expect(n.Summary().HeldBack).To(Equal(9), "the first half is on its way")
	g.Expect(next(n, start)).To(HaveLen(9))
}

func TestGuardAtConnect(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	inventory := map[object.Key]Held{}
	var keys []object.Key
	for i := range 12 {
		inventory[numbered(i)] = holding(version(numbered(i), "1", 1))
		keys = append(keys, numbered(i))
	}
	n := New(defaults, inventory)
	n.Desire(start, unwantedInBulk(keys...))
	g.Expect(n.Summary().HeldBack).To(Equal(12))
	g.Expect(next(n, start)).To(Equal([]string{"bookmark"}))
}

func TestWhatIsRetainedDoesNotCount(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	inventory := map[object.Key]Held{}
	var keys []object.Key
	for i := range 20 {
		h := holding(version(numbered(i), "1", 1))
		h.Retain = i < 11
		inventory[numbered(i)] = h
		keys = append(keys, numbered(i))
	}
	n := New(defaults, inventory)
	n.Desire(start, unwantedInBulk(keys...))
	g.Expect(n.Summary().HeldBack).To(BeZero())
	g.Expect(next(n, start)).To(HaveLen(20))
}

func TestApprovalByCode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(12)
	n.Desire(start, unwantedInBulk(keys...))
	code := n.ApprovalCode()
	g.Expect(code).To(HaveLen(8))
	n.Approve(start, "")
	n.Approve(start, "00000000")
	g.Expect(next(n, start)).To(Equal([]string{"bookmark"}))

	// Another deletion in bulk makes another code: what was approved did not name it.
	other := version(named("other"), "5", 1)
	n.Desire(start, []Change{wanted(other)})
	g.Expect(next(n, start)).To(HaveLen(1))
	mustAck(t, n, start, 1)
	n.Desire(start, unwantedInBulk(other.Key))
	g.Expect(n.ApprovalCode()).NotTo(Equal(code))
	n.Approve(start, code)
	g.Expect(n.Summary().HeldBack).To(Equal(13))

	n.Approve(start, n.ApprovalCode())
	g.Expect(n.ApprovalCode()).To(BeEmpty())
	g.Expect(next(n, start)).To(HaveLen(13))
}

func TestApprovalCodeIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	one, keys := fullNode(12)
	two, _ := fullNode(12)
	one.Desire(start, unwantedInBulk(keys...))
	for i := range keys {
		keys[i], keys[len(keys)-1-i] = keys[len(keys)-1-i], keys[i]
	}
	two.Desire(start, unwantedInBulk(keys...))
	g.Expect(one.ApprovalCode()).To(Equal(two.ApprovalCode()))
}

func TestApprovalBySource(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(12)
	n.Desire(start, unwantedInBulk(keys...))
	g.Expect(n.Unsettled()).To(Equal(keys))
	changes := unwantedInBulk(keys[:5]...)
	for i := range changes {
		changes[i].Want.Approved = true
	}
	n.Desire(start, changes)
	g.Expect(next(n, start)).To(HaveLen(5))
	g.Expect(n.Summary().HeldBack).To(Equal(7), "the others need approval still")
}

func TestWantedAgainEndsTheGuard(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(12)
	n.Desire(start, unwantedInBulk(keys...))
	for _, key := range keys {
		n.Desire(start, []Change{wanted(version(key, "5", 1))})
	}
	g.Expect(n.Summary()).To(And(HaveField("HeldBack", 0), HaveField("ApprovalCode", ""), HaveField("Pending", 0)))
	g.Expect(next(n, start)).To(Equal([]string{"bookmark"}))
	n.Desire(start, unwantedInBulk(keys[0]))
	g.Expect(next(n, start)).To(HaveLen(1), "what was held back once is not for ever")
}

func TestThawInBulkIsGuarded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(12)
	for _, key := range keys {
		n.Desire(start, []Change{{Key: key, Want: desired.Want{Frozen: true}}})
	}
	g.Expect(next(n, start)).To(Equal([]string{"bookmark"}))
	n.Desire(start, unwantedInBulk(n.Unsettled()...))
	g.Expect(n.Summary().HeldBack).To(Equal(12))
}

func TestRemovedSinceDoesNotCount(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	n, keys := fullNode(30)
	n.Desire(start, unwantedInBulk(keys[:9]...))
	g.Expect(next(n, start)).To(HaveLen(9))
	mustAck(t, n, start, 9)
	n.Desire(start, unwantedInBulk(keys[9:18]...))
	g.Expect(n.Summary().HeldBack).To(BeZero(), "nine of 21 that are left")
}
