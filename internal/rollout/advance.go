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
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// State is how far a node is with what is rolled out.
type State int

// States of a node.
const (
	// Offline: connected to no live replica, and not expected back at any moment. Its turn
	// passes.
	Offline State = iota
	// Done: connected here; it has applied everything, whether its turn had come or not.
	Done
	// Failed: connected here; it refused something, or failed to apply it.
	Failed
	// InProgress: connected here, and neither Done nor Failed. It is also the state of a node
	// that went away so lately that it is expected back: a manager that has just started
	// knows of no node yet and must not take the whole fleet to be Offline, and a change
	// that takes nodes off the network must not run through the fleet at once.
	InProgress
	// Elsewhere: connected to another replica, whose Part tells of it.
	Elsewhere
)

// Node is one node of a rollout.
type Node struct {
	// Place is what Order.Place says.
	Place string
	State State
	// Replica has the session of a node that is Elsewhere.
	Replica string
}

// Part is what another replica says of its nodes, for the revision that is rolled out. What
// one says of another revision counts as nothing said: leave its Part out, or zero.
type Part struct {
	// Through is the place up to which the replica has released the rollout.
	Through string
	// Connected is the number of its nodes: those that wait for their turn, as of Through, and
	// of the others those that are done, those that failed and those in progress.
	Connected, Waiting, Done, Failed int
}

// Limits bound a rollout.
type Limits struct {
	// MaxInProgress is the number of nodes, or the percentage of those that are connected,
	// rounded up, that may be in progress; nil for any number.
	MaxInProgress *intstr.IntOrString
	// PauseAfterFailures is the number of failed nodes that pauses the rollout; 0 counts as 1.
	PauseAfterFailures int
	// Resumed has the rollout go on, however many fail.
	Resumed bool
}

// LimitsOf are the limits that a spec asks for. resumed says that an administrator wants the
// revision that is rolled out to go on in spite of failures.
func LimitsOf(spec *syncv1alpha1.Rollout, resumed bool) Limits {
	limits := Limits{MaxInProgress: spec.MaxInProgress, Resumed: resumed}
	if spec.PauseAfterFailures != nil {
		limits.PauseAfterFailures = int(*spec.PauseAfterFailures)
	}
	return limits
}

// bound is how many of the connected nodes may be in progress: at least one. What is no
// percentage counts as the least.
func (l Limits) bound(connected int) int {
	if l.MaxInProgress == nil {
		return max(1, connected)
	}
	bound, err := intstr.GetScaledValueFromIntOrPercent(l.MaxInProgress, connected, true)
	if err != nil {
		return 1
	}
	return max(1, bound)
}

// Progress is how far a rollout has come.
type Progress struct {
	Cursor
	// Released is the number of nodes whose turn has come, and Waiting that of the others;
	// both count nodes that are offline.
	Released, Waiting int
	// InProgress and Failed are the numbers of connected nodes whose turn has come and that
	// are so. A node of another replica that has been released just now is in progress.
	InProgress, Failed int
	// Paused says that too many have failed, so that those that wait go on waiting.
	Paused bool
}

// Advance moves the cursor as far as the limits allow: never back, and for another revision
// from the beginning. nodes are in the order of their places; parts are those of other live
// replicas, by name. Nodes that are offline are passed over, nodes that are done take none of
// the room. A part of the order begins when nothing is in progress. The cursor is at End once
// every node's turn has come.
//
// The room is taken by all that is in progress, also by nodes that have come back or have
// joined at a place that was released before. It takes time proportional to the nodes.
func Advance(at Cursor, revision string, nodes []Node, parts map[string]Part, limits Limits) Progress {
	if at.Revision != revision {
		at = Cursor{Revision: revision}
	}
	p := count(at, nodes, parts)
	failed := !limits.Resumed && p.Failed >= max(1, limits.PauseAfterFailures)
	if !failed {
		p.move(nodes[p.Released:], limits.bound(connected(nodes)))
	}
	p.Released = released(p.Through, nodes)
	p.Waiting = len(nodes) - p.Released
	p.Paused = failed && p.Waiting > 0
	return p
}

// move releases one node after the other.
func (p *Progress) move(waiting []Node, bound int) {
	for _, n := range waiting {
		if p.InProgress > 0 && partOf(n.Place) != partOf(p.Through) {
			return
		}
		switch n.State {
		case Offline:
			continue // the cursor passes it with the next one
		case Done:
		default:
			if p.InProgress >= bound {
				return
			}
			p.InProgress++
		}
		p.Through = n.Place
	}
	p.Through = End
}

func connected(nodes []Node) int {
	count := 0
	for _, n := range nodes {
		if n.State != Offline {
			count++
		}
	}
	return count
}

// released is the number of nodes whose turn has come. They are the first.
func released(through string, nodes []Node) int {
	if through == End {
		return len(nodes)
	}
	i, found := slices.BinarySearchFunc(nodes, through, func(n Node, place string) int { return cmp.Compare(n.Place, place) })
	if found {
		i++
	}
	return i
}

// count counts the nodes whose turn has come.
func count(at Cursor, nodes []Node, parts map[string]Part) Progress {
	p := Progress{Cursor: at, Released: released(at.Through, nodes)}
	told, untold := map[string]int{}, 0
	for _, n := range nodes[:p.Released] {
		switch {
		case n.State == InProgress:
			p.InProgress++
		case n.State == Failed:
			p.Failed++
		case n.State == Elsewhere && n.Place <= parts[n.Replica].Through:
			told[n.Replica]++
		case n.State == Elsewhere:
			untold++
		}
	}
	p.InProgress += untold
	for name, part := range parts {
		// A node that has moved to the replica may not be among its Connected yet.
		p.InProgress += max(0, max(part.Connected-part.Waiting, told[name])-part.Done-part.Failed)
		p.Failed += part.Failed
	}
	return p
}
