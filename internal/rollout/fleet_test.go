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
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
)

var seeds = flag.Int("seeds", 500, "how many fleets to simulate")

// TestFleets plays rollouts over fleets whose nodes come and go, fail, join and leave and
// change their labels, while the content changes, replicas lag behind and leaders die.
func TestFleets(t *testing.T) {
	t.Parallel()
	for seed := range uint64(*seeds) {
		if err := newFleet(seed).play(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// fleet is nodes, the replicas that they connect to, and what the API server has.
type fleet struct {
	random   *rand.Rand
	order    *Order
	limits   Limits
	revision int
	saved    Cursor
	nodes    []*edge
	replicas []*replica
	leader   *replica
	// grace: the leader has just begun, and knows of no node that has not come back yet.
	grace bool
	// driven are the nodes that a leader released while they were connected, and that have
	// been connected, neither done nor failed, since then.
	driven map[*edge]bool
	joined int
}

type edge struct {
	name    string
	labels  map[string]string
	replica *replica
	applied int
	// failing is the revision that the node has failed to apply; it fails all of poison.
	failing int
	poison  map[int]bool
}

// replica has seen what is desired, and how far the rollout has come, up to some time.
type replica struct {
	name     string
	revision int
	cursor   Cursor
	told     Part
	toldOf   string
}

func newFleet(seed uint64) *fleet {
	f := &fleet{random: rand.New(rand.NewPCG(seed, 1)), order: &Order{Label: "ring"}, revision: 1, driven: map[*edge]bool{}}
	for i := range f.random.IntN(4) {
		f.order.Values = append(f.order.Values, strconv.Itoa(i))
	}
	f.limits.PauseAfterFailures = f.random.IntN(4)
	switch bound := f.random.IntN(5); {
	case bound < 2:
		f.limits.MaxInProgress = atMost(int32(1 + f.random.IntN(4)))
	case bound < 4:
		percent := intstr.FromString(strconv.Itoa(1+f.random.IntN(100)) + "%")
		f.limits.MaxInProgress = &percent
	}
	for i := range 1 + f.random.IntN(3) {
		f.replicas = append(f.replicas, &replica{name: "r" + strconv.Itoa(i)})
	}
	f.leader = f.replicas[0]
	for range 1 + f.random.IntN(20) {
		f.join()
	}
	return f
}

func (f *fleet) chance(percent int) bool { return f.random.IntN(100) < percent }

func (f *fleet) play() error {
	for range 300 {
		if err := f.step(); err != nil {
			return err
		}
	}
	return f.heal()
}

func (f *fleet) step() error {
	e := f.nodes[f.random.IntN(len(f.nodes))]
	r := f.replicas[f.random.IntN(len(f.replicas))]
	switch n := f.random.IntN(100); {
	case n < 25:
		return f.advance()
	case n < 35:
		f.saved = f.leader.cursor
	case n < 50:
		f.catchUp(r)
	case n < 60:
		f.report(r)
	case n < 82:
		f.work(e)
	case n < 86:
		f.disconnect(e)
	case n < 92:
		f.connect(e)
	case n < 93:
		f.join()
	case n < 94 && len(f.nodes) > 1:
		f.disconnect(e)
		f.nodes = slices.DeleteFunc(f.nodes, func(other *edge) bool { return other == e })
	case n < 96:
		e.labels = f.ring()
		delete(f.driven, e) // where it is now somebody else has put it
	case n < 97:
		f.revision++
		clear(f.driven)
	case n < 98:
		f.leaderDies()
	case n < 99:
		f.limits.Resumed = f.chance(20)
	default:
		f.grace = false
	}
	return nil
}

func (f *fleet) ring() map[string]string {
	return map[string]string{"ring": strconv.Itoa(f.random.IntN(5))}
}

func (f *fleet) join() {
	e := &edge{name: fmt.Sprintf("n%03d", f.random.IntN(1000)*1000+f.joined), labels: f.ring(), poison: map[int]bool{}}
	f.joined++
	for revision := range 20 {
		e.poison[revision] = f.chance(5)
	}
	f.nodes = append(f.nodes, e)
}

func (f *fleet) connect(e *edge) {
	if e.replica == nil {
		e.replica = f.replicas[f.random.IntN(len(f.replicas))]
	}
}

func (f *fleet) disconnect(e *edge) {
	e.replica = nil
	delete(f.driven, e)
}

// work has a node apply what its replica gives it, or fail to.
func (f *fleet) work(e *edge) {
	if e.replica == nil || !e.replica.releases(f, e) {
		return
	}
	if e.poison[e.replica.revision] {
		e.failing = e.replica.revision
	} else {
		e.applied = e.replica.revision
	}
	if e.applied == f.revision || e.failing == f.revision {
		delete(f.driven, e)
	}
}

func (f *fleet) place(e *edge) string { return f.order.Place(e.name, e.labels) }

func name(revision int) string { return "revision " + strconv.Itoa(revision) }

func (r *replica) releases(f *fleet, e *edge) bool {
	return r.cursor.Releases(name(r.revision), f.place(e))
}

func (r *replica) state(e *edge) State {
	switch {
	case e.replica == nil:
		return Offline
	case e.replica != r:
		return Elsewhere
	case e.applied == r.revision:
		return Done
	case e.failing == r.revision:
		return Failed
	default:
		return InProgress
	}
}

// catchUp: a replica learns what is desired, or how far the rollout has come.
func (f *fleet) catchUp(r *replica) {
	if f.chance(50) {
		r.revision = f.revision
	} else if r != f.leader {
		r.cursor = f.saved
	}
}

// report: a replica tells of its nodes.
func (f *fleet) report(r *replica) {
	r.told, r.toldOf = Part{}, name(r.revision)
	if r.cursor.Revision == r.toldOf {
		r.told.Through = r.cursor.Through
	}
	for _, e := range f.nodes {
		if e.replica != r {
			continue
		}
		r.told.Connected++
		switch state := r.state(e); {
		case f.place(e) > r.told.Through:
			r.told.Waiting++
		case state == Done:
			r.told.Done++
		case state == Failed:
			r.told.Failed++
		}
	}
}

// leaderDies: its nodes are cut off, what it has not saved is lost, and another one goes on.
func (f *fleet) leaderDies() {
	for _, e := range f.nodes {
		if e.replica == f.leader {
			f.disconnect(e)
		}
	}
	*f.leader = replica{name: f.leader.name}
	f.leader = f.replicas[f.random.IntN(len(f.replicas))]
	f.leader.cursor, f.grace = f.saved, true
	if f.leader.revision == 0 {
		f.leader.revision = f.revision
	}
	for e := range f.driven {
		if !f.saved.Releases(name(f.revision), f.place(e)) {
			delete(f.driven, e) // it waits again
		}
	}
}

// advance has the leader move the rollout, and checks that it may.
func (f *fleet) advance() error {
	r := f.leader
	if r.revision == 0 {
		return nil // it has not learned anything yet
	}
	edges, view := f.view()
	parts := map[string]Part{}
	for _, other := range f.replicas {
		if other != r && other.toldOf == name(r.revision) {
			parts[other.name] = other.told
		}
	}
	before := r.cursor
	if before.Revision != name(r.revision) {
		before = Cursor{Revision: name(r.revision)}
	}
	p := Advance(r.cursor, name(r.revision), view, parts, f.limits)
	r.cursor = p.Cursor
	if err := f.checkCounts(before, p, view, parts); err != nil {
		return err
	}
	if r.revision != f.revision {
		clear(f.driven) // a leader that lags takes them all back
		return nil
	}
	return f.checkReleased(before, p, edges, view)
}

// view is what the leader knows of the nodes, in order.
func (f *fleet) view() ([]*edge, []Node) {
	edges := slices.SortedFunc(slices.Values(f.nodes), func(a, b *edge) int { return cmp.Compare(f.place(a), f.place(b)) })
	var view []Node
	for _, e := range edges {
		n := Node{Place: f.place(e), State: f.leader.state(e)}
		if n.State == Elsewhere {
			n.Replica = e.replica.name
		}
		if n.State == Offline && f.grace {
			n.State = InProgress
		}
		view = append(view, n)
	}
	return edges, view
}

func (f *fleet) checkCounts(before Cursor, p Progress, view []Node, parts map[string]Part) error {
	failed, released := 0, 0
	for _, part := range parts {
		failed += part.Failed
	}
	for _, n := range view {
		if n.State == Failed && n.Place <= before.Through {
			failed++
		}
		if n.Place <= p.Through {
			released++
		}
	}
	tooMany := !f.limits.Resumed && failed >= max(1, f.limits.PauseAfterFailures)
	switch {
	case p.Through < before.Through:
		return fmt.Errorf("the cursor went back from %q to %q", before.Through, p.Through)
	case tooMany && p.Through != before.Through:
		return fmt.Errorf("it goes on from %q to %q although %d have failed", before.Through, p.Through, failed)
	case p.Released != released || p.Waiting != len(view)-released:
		return fmt.Errorf("%d of %d are released, not %d and %d wait", released, len(view), p.Released, p.Waiting)
	case p.Paused != (tooMany && p.Waiting > 0):
		return fmt.Errorf("paused is %t with %d failed and %d waiting", p.Paused, failed, p.Waiting)
	}
	return nil
}

// checkReleased: what the rollout has set going is within its bound, and nothing of an
// earlier part is still going.
func (f *fleet) checkReleased(before Cursor, p Progress, edges []*edge, view []Node) error {
	var released []*edge
	connected := 0
	for i, n := range view {
		if n.State != Offline {
			connected++
		}
		if n.Place <= before.Through || n.Place > p.Through {
			continue
		}
		for e := range f.driven {
			if partOf(f.place(e)) < partOf(n.Place) {
				return fmt.Errorf("%s is released while %s is in progress", n.Place, f.place(e))
			}
		}
		if e := edges[i]; e.replica != nil && e.applied != f.revision && e.failing != f.revision {
			released = append(released, e)
		}
	}
	for _, e := range released {
		f.driven[e] = true
	}
	if bound := f.limits.bound(connected); len(released) > 0 && len(f.driven) > bound {
		return fmt.Errorf("%d are in progress, of at most %d", len(f.driven), bound)
	}
	return nil
}

// heal lets everything come to rest. Failures may pause the rollout; without them it ends.
func (f *fleet) heal() error {
	f.grace, f.limits.Resumed = false, false
	for _, e := range f.nodes {
		if f.chance(70) {
			f.connect(e)
		}
	}
	p, err := f.rest()
	switch {
	case err != nil:
		return err
	case p.Waiting > 0 && !p.Paused:
		return fmt.Errorf("it comes to rest at %+v", p)
	}
	for _, e := range f.nodes {
		e.poison, e.failing = nil, 0
	}
	p, err = f.rest()
	switch {
	case err != nil:
		return err
	case p.Cursor != Cursor{name(f.revision), End}:
		return fmt.Errorf("it ends at %+v", p)
	}
	for _, e := range f.nodes {
		if e.replica != nil && e.applied != f.revision {
			return fmt.Errorf("%s has not got the last revision", e.name)
		}
	}
	return nil
}

// rest plays until nothing can change any more.
func (f *fleet) rest() (Progress, error) {
	for range 3*len(f.nodes) + 10 {
		for _, r := range f.replicas {
			r.revision = f.revision
			if r != f.leader {
				r.cursor = f.saved
			}
		}
		for _, e := range f.nodes {
			f.work(e)
		}
		for _, r := range f.replicas {
			f.report(r)
		}
		if err := f.advance(); err != nil {
			return Progress{}, err
		}
		f.saved = f.leader.cursor
	}
	_, view := f.view()
	parts := map[string]Part{}
	for _, r := range f.replicas {
		if r != f.leader {
			parts[r.name] = r.told
		}
	}
	return Advance(f.saved, name(f.revision), view, parts, f.limits), nil
}
