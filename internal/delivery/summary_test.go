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

func TestProgress(t *testing.T) {
	t.Parallel()
	o := version(named("a"), "5", 1)
	other := version(named("a"), "6", 1)
	in := func(state State) *Held {
		h := holding(o)
		h.State = state
		return &h
	}
	for name, test := range map[string]struct {
		e    entry
		want Progress
	}{
		"held and applied":                 {entry{held: in(Applied), want: desired.Want{Object: o}}, InSync},
		"held, not applied":                {entry{held: in(Pending), want: desired.Want{Object: o}}, InProgress},
		"held, failed to apply":            {entry{held: in(ApplyFailed), want: desired.Want{Object: o}}, Failing},
		"another applied":                  {entry{held: in(Applied), want: desired.Want{Object: other}}, InProgress},
		"another failed to apply":          {entry{held: in(ApplyFailed), want: desired.Want{Object: other}}, InProgress},
		"to be retained, and not yet":      {entry{held: in(Applied), want: desired.Want{Object: o, Retain: true}}, InProgress},
		"not held":                         {entry{want: desired.Want{Object: o}}, InProgress},
		"suspended, not held":              {entry{want: desired.Want{Object: o, Frozen: true}}, InProgress},
		"suspended, nothing wanted":        {entry{held: in(Applied), want: desired.Want{Frozen: true}}, InSync},
		"waiting, another applied":         {entry{held: in(Applied), want: desired.Want{Object: other, Frozen: true, Waiting: true}}, Waiting},
		"waiting, not held":                {entry{want: desired.Want{Object: o, Frozen: true, Waiting: true}}, Waiting},
		"waiting, nothing wanted":          {entry{held: in(Applied), want: desired.Want{Frozen: true, Waiting: true}}, Waiting},
		"waiting, nothing wanted or held":  {entry{want: desired.Want{Frozen: true, Waiting: true}}, InSync},
		"waiting for what it has":          {entry{held: in(Applied), want: desired.Want{Object: o, Frozen: true, Waiting: true}}, InSync},
		"waiting, being removed":           {entry{held: in(Removing), want: desired.Want{Frozen: true, Waiting: true}}, InSync},
		"waiting, another in flight":       {entry{flight: &flight{}, want: desired.Want{Object: o, Frozen: true, Waiting: true}}, InProgress},
		"to be removed":                    {entry{held: in(Applied)}, InProgress},
		"to be removed, failing before":    {entry{held: in(ApplyFailed)}, InProgress},
		"removing":                         {entry{held: in(Removing)}, InProgress},
		"failing to remove":                {entry{held: in(RemoveFailed)}, Failing},
		"held back":                        {entry{held: in(Applied), removal: heldBack}, HeldBack},
		"held back, approved by code":      {entry{held: in(Applied), removal: approved}, InProgress},
		"held back, approved by a source":  {entry{held: in(Applied), removal: heldBack, want: desired.Want{Approved: true}}, InProgress},
		"applied, another one in flight":   {entry{held: in(Applied), want: desired.Want{Object: o}, flight: &flight{}}, InProgress},
		"nothing wanted, but in flight":    {entry{flight: &flight{}}, InProgress},
		"removing, wanted again":           {entry{held: in(Removing), want: desired.Want{Object: o}}, InProgress},
		"failed to be stored":              {entry{want: desired.Want{Object: o}, trouble: &trouble{failure: &Failure{}}}, Failing},
		"neither held nor wanted any more": {entry{}, InSync},
	} {
		if got, failure := test.e.progress(); got != test.want || (failure != nil) != (got == Failing) {
			t.Errorf("%s: %d %v, want %d", name, got, failure, test.want)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	inventory := map[object.Key]Held{}
	var changes []Change
	for i := range 30 {
		o := version(numbered(i), "1", 1)
		h := holding(o)
		if i >= 15 {
			h.State, h.Message = ApplyFailed, "no space"
		}
		inventory[o.Key] = h
		changes = append(changes, wanted(o))
	}
	gone := holding(version(named("gone"), "1", 1))
	gone.State = Removing
	inventory[named("gone")] = gone
	n := New(defaults, inventory)
	n.Desire(start, append(changes, unwanted(named("gone")), wanted(version(named("new"), "1", 1))))
	summary := n.Summary()
	g.Expect(summary).To(And(
		HaveField("Desired", 31), HaveField("Held", 30), HaveField("Pending", 2), HaveField("Failed", 15), HaveField("HeldBack", 0)))
	g.Expect(summary.Failures).To(HaveLen(10))
	g.Expect(summary.Failures[0].Ref).To(Equal("v1/ConfigMap/shop/x015"))
	g.Expect(summary.Failures[9].Ref).To(Equal("v1/ConfigMap/shop/x024"))
}

func TestProgressOfAnUnknownKey(t *testing.T) {
	t.Parallel()
	progress, failure := New(defaults, nil).Progress(named("a"))
	if progress != InSync || failure != nil {
		t.Errorf("progress %d, %v", progress, failure)
	}
}
