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

package rollout

import (
	"fmt"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/intstr"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	order := OrderOf(&syncv1alpha1.Rollout{Partition: &syncv1alpha1.RolloutPartition{
		Label: "ring", Values: []string{"canary", "early", "canary"},
	}})
	ring := func(value string) map[string]string { return map[string]string{"ring": value} }
	places := []string{
		order.Place("z", ring("canary")), order.Place("a", ring("early")), order.Place("b", ring("early")),
		order.Place("a", ring("late")), order.Place("a1", nil), End,
	}
	g.Expect(places).To(Equal([]string{"00/z", "01/a", "01/b", "03/a", "03/a1", "~"}))
	g.Expect(slices.IsSorted(places)).To(BeTrue())

	many := &Order{Label: "ring"}
	for i := range 32 {
		many.Values = append(many.Values, fmt.Sprint(i))
	}
	g.Expect(many.Place("a", ring("9")) < many.Place("a", ring("10"))).To(BeTrue())
	g.Expect(many.Place("a", ring("31")) < many.Place("a", ring("32"))).To(BeTrue())

	g.Expect(OrderOf(nil)).To(BeNil())
	g.Expect(OrderOf(&syncv1alpha1.Rollout{}).Place("a", ring("canary"))).To(Equal("00/a"))
	g.Expect((&Order{Values: []string{""}}).Place("a", nil)).To(Equal("01/a"), "no label is not an empty one")
}

func TestReleases(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(Cursor{"r1", "00/b"}.Releases("r1", "00/b")).To(BeTrue())
	g.Expect(Cursor{"r1", "00/b"}.Releases("r1", "00/c")).To(BeFalse())
	g.Expect(Cursor{"r1", End}.Releases("r1", "99/z")).To(BeTrue())
	g.Expect(Cursor{"r1", End}.Releases("r2", "00/a")).To(BeFalse())
	g.Expect(Cursor{}.Releases("", "00/a")).To(BeFalse())
}

func TestLimits(t *testing.T) {
	t.Parallel()
	limit := func(value intstr.IntOrString) Limits { return Limits{MaxInProgress: &value} }
	for name, c := range map[string]struct {
		limits           Limits
		connected, bound int
	}{
		"none":                             {Limits{}, 7, 7},
		"a number":                         {limit(intstr.FromInt32(3)), 7, 3},
		"a percentage":                     {limit(intstr.FromString("50%")), 8, 4},
		"a percentage is rounded up":       {limit(intstr.FromString("10%")), 11, 2},
		"at least one of nobody":           {limit(intstr.FromString("10%")), 0, 1},
		"what is no percentage":            {limit(intstr.FromString("lots")), 100, 1},
		"what the API server would refuse": {limit(intstr.FromInt32(-5)), 100, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			NewWithT(t).Expect(c.limits.bound(c.connected)).To(Equal(c.bound))
		})
	}
	three, half := int32(3), intstr.FromString("50%")
	NewWithT(t).Expect(LimitsOf(&syncv1alpha1.Rollout{MaxInProgress: &half, PauseAfterFailures: &three}, true)).To(
		Equal(Limits{MaxInProgress: &half, PauseAfterFailures: 3, Resumed: true}))
	NewWithT(t).Expect(LimitsOf(&syncv1alpha1.Rollout{}, false)).To(Equal(Limits{}))
}

// nodes makes nodes from words such as "00/a done" and "00/b elsewhere:r1", in order.
func nodes(words ...string) []Node {
	states := map[string]State{"offline": Offline, "done": Done, "failed": Failed, "busy": InProgress}
	var all []Node
	for _, word := range words {
		var n Node
		var state string
		if _, err := fmt.Sscanf(word, "%s %s", &n.Place, &state); err != nil {
			panic(err)
		}
		known := false
		if n.State, known = states[state]; !known {
			n.State, n.Replica = Elsewhere, state
		}
		all = append(all, n)
	}
	return all
}

func atMost(n int32) *intstr.IntOrString {
	value := intstr.FromInt32(n)
	return &value
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	two := Limits{MaxInProgress: atMost(2)}
	fresh := nodes("00/a busy", "00/b busy", "00/c busy", "01/d busy")
	for name, c := range map[string]struct {
		at     Cursor
		nodes  []Node
		parts  map[string]Part
		limits Limits
		want   Progress
	}{
		"no nodes": {
			at: Cursor{"r0", "00/a"}, want: Progress{Cursor: Cursor{"r", End}},
		},
		"without a bound all of the first part": {
			nodes: fresh, want: Progress{Cursor: Cursor{"r", "00/c"}, Released: 3, Waiting: 1, InProgress: 3},
		},
		"as many as may be in progress": {
			nodes: fresh, limits: two, want: Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 2, InProgress: 2},
		},
		"another revision begins anew": {
			at: Cursor{"r0", End}, nodes: fresh, limits: two,
			want: Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 2, InProgress: 2},
		},
		"one is done, one takes its room": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a done", "00/b busy", "00/c busy", "00/d busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", "00/c"}, Released: 3, Waiting: 1, InProgress: 2},
		},
		"a part begins when nothing is in progress": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a done", "00/b busy", "01/c busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 1, InProgress: 1},
		},
		"a part begins when all of the one before are done or failed": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a done", "00/b failed", "01/c busy", "01/d busy"),
			limits: Limits{MaxInProgress: atMost(1), PauseAfterFailures: 2},
			want:   Progress{Cursor: Cursor{"r", "01/c"}, Released: 3, Waiting: 1, InProgress: 1, Failed: 1},
		},
		"nodes of the next part that are done or offline wait as well": {
			nodes: nodes("00/a busy", "01/b done", "01/c offline"),
			want:  Progress{Cursor: Cursor{"r", "00/a"}, Released: 1, Waiting: 2, InProgress: 1},
		},
		"those that are done take no room": {
			nodes: nodes("00/a done", "00/b done", "01/c done", "01/d busy", "01/e done", "01/f busy", "01/g busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", "01/f"}, Released: 6, Waiting: 1, InProgress: 2},
		},
		"those that are offline are passed over": {
			nodes: nodes("00/a offline", "00/b offline", "01/c offline", "01/d busy", "01/e offline"), limits: two,
			want: Progress{Cursor: Cursor{"r", End}, Released: 5, InProgress: 1},
		},
		"but only by those that are released": {
			nodes: nodes("00/a busy", "00/b busy", "00/c offline", "00/d busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 2, InProgress: 2},
		},
		"all are offline": {
			nodes: nodes("00/a offline", "01/b offline"), limits: two, want: Progress{Cursor: Cursor{"r", End}, Released: 2},
		},
		"the last one": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a done", "00/b done", "00/c busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", End}, Released: 3, InProgress: 1},
		},
		"at the end those that join are released": {
			at: Cursor{"r", End}, nodes: nodes("00/a busy", "00/b busy", "00/c busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", End}, Released: 3, InProgress: 3},
		},
		"one that comes back takes room": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a busy", "00/b busy", "00/c busy"), limits: Limits{MaxInProgress: atMost(1)},
			want: Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 1, InProgress: 2},
		},
		"a failure pauses": {
			at: Cursor{"r", "00/a"}, nodes: nodes("00/a failed", "00/b busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", "00/a"}, Released: 1, Waiting: 1, Failed: 1, Paused: true},
		},
		"a failure of a node whose turn has not come does not": {
			nodes: nodes("00/a busy", "00/b failed"), limits: Limits{MaxInProgress: atMost(1)},
			want: Progress{Cursor: Cursor{"r", "00/a"}, Released: 1, Waiting: 1, InProgress: 1},
		},
		"what failed before may go on failing and takes room until it is known": {
			nodes: nodes("00/a failed", "00/b failed", "00/c busy"), limits: two,
			want: Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 1, InProgress: 2},
		},
		"fewer failures than pause it": {
			at: Cursor{"r", "00/a"}, nodes: nodes("00/a failed", "00/b busy"), limits: Limits{PauseAfterFailures: 2},
			want: Progress{Cursor: Cursor{"r", End}, Released: 2, InProgress: 1, Failed: 1},
		},
		"resumed in spite of failures": {
			at: Cursor{"r", "00/a"}, nodes: nodes("00/a failed", "00/b busy"), limits: Limits{Resumed: true},
			want: Progress{Cursor: Cursor{"r", End}, Released: 2, InProgress: 1, Failed: 1},
		},
		"a failure when nothing waits pauses nothing": {
			at: Cursor{"r", End}, nodes: nodes("00/a failed", "00/b done"),
			want: Progress{Cursor: Cursor{"r", End}, Released: 2, Failed: 1},
		},
		"the cursor is at the place of one that is gone": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a done", "00/c busy", "00/d busy"), limits: Limits{MaxInProgress: atMost(1)},
			want: Progress{Cursor: Cursor{"r", "00/c"}, Released: 2, Waiting: 1, InProgress: 1},
		},
		"nodes elsewhere take room when they are released": {
			nodes: nodes("00/a r1", "00/b r2", "00/c r1"), limits: two,
			want: Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 1, InProgress: 2},
		},
		"and until their replica has followed": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a r1", "00/b r1", "00/c r1"), limits: two,
			parts: map[string]Part{"r1": {Through: "00/a", Connected: 3, Waiting: 2, Done: 1}},
			want:  Progress{Cursor: Cursor{"r", End}, Released: 3, InProgress: 2},
		},
		"what their replica says": {
			at: Cursor{"r", "00/c"}, nodes: nodes("00/a r1", "00/b r1", "00/c r1", "00/d busy", "00/e busy"),
			parts:  map[string]Part{"r1": {Through: "00/c", Connected: 3, Done: 1, Failed: 1}},
			limits: Limits{MaxInProgress: atMost(2), PauseAfterFailures: 2},
			want:   Progress{Cursor: Cursor{"r", "00/d"}, Released: 4, Waiting: 1, InProgress: 2, Failed: 1},
		},
		"failures elsewhere pause": {
			at: Cursor{"r", "00/a"}, nodes: nodes("00/a r1", "00/b busy"),
			parts: map[string]Part{"r1": {Through: "00/a", Connected: 1, Failed: 1}},
			want:  Progress{Cursor: Cursor{"r", "00/a"}, Released: 1, Waiting: 1, Failed: 1, Paused: true},
		},
		"a node that has moved and is not counted there yet": {
			at: Cursor{"r", "00/b"}, nodes: nodes("00/a r1", "00/b r1", "00/c busy"), limits: Limits{MaxInProgress: atMost(1)},
			parts: map[string]Part{"r1": {Through: "00/b", Connected: 1, Done: 1}},
			want:  Progress{Cursor: Cursor{"r", "00/b"}, Released: 2, Waiting: 1, InProgress: 1},
		},
		"counts that do not add up": {
			at: Cursor{"r", "00/a"}, nodes: nodes("00/a r1", "00/b busy"), limits: Limits{MaxInProgress: atMost(1)},
			parts: map[string]Part{"r1": {Through: "00/a", Connected: 1, Done: 5, Waiting: 3}},
			want:  Progress{Cursor: Cursor{"r", End}, Released: 2, InProgress: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			NewWithT(t).Expect(Advance(c.at, "r", c.nodes, c.parts, c.limits)).To(Equal(c.want))
		})
	}
}
