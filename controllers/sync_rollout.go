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

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/rollout"
	"github.com/edgesync/edgesync/internal/watch"
)

// whereabouts is what the recorded session of a node that is not connected here says.
type whereabouts struct {
	// replica has the node; empty if no replica that lives does.
	replica string
	// expected: the node has been away for so short a time that it may be back any moment.
	expected bool
}

// whereIs tells where a node is that is not connected here.
func (r *edgeNodeReconciler) whereIs(name string) whereabouts {
	node := r.lastSeen(name)
	if node == nil {
		return whereabouts{}
	}
	status, grace := &node.Status, r.timing.startGrace
	unrest := time.Since(r.unrest.last()) < grace
	switch {
	case status.Session == nil:
		return whereabouts{expected: status.LastSeenTime != nil && (unrest || time.Since(status.LastSeenTime.Time) < grace)}
	case status.Session.Replica != r.Replica && r.Replicas.Alive(status.Session.Replica):
		return whereabouts{replica: status.Session.Replica}
	default:
		return whereabouts{expected: unrest || status.Session.Replica == r.Replica}
	}
}

// lastSeen is the EdgeNode as it was seen last, which must not be changed, or nil.
func (r *edgeNodeReconciler) lastSeen(name string) *syncv1alpha1.EdgeNode {
	r.mu.Lock()
	defer r.mu.Unlock()
	if memory := r.memories[name]; memory != nil {
		return memory.node
	}
	return nil
}

// followRollout takes over how far the leader has come with a rollout.
func (r *syncReconciler) followRollout(sync syncObject) {
	if at := sync.status.Rollout; at != nil {
		r.Index.SetRollout(sync.id(), rollout.Cursor{Revision: at.Revision, Through: at.Through})
	}
}

// advance has the rollout go on as far as it may, at once. It is for the leader.
func (r *syncReconciler) advance(sync syncObject, view *desired.SourceView, o *syncObservation) {
	if !o.settled() || o.deleting || sync.spec.Rollout == nil {
		return
	}
	resumed := sync.GetAnnotations()[syncv1alpha1.AnnotationResumeRollout] == view.Revision
	progress := rollout.Advance(view.Cursor, view.Revision, r.turns(view, o), o.rolloutParts(), rollout.LimitsOf(sync.spec.Rollout, resumed))
	r.Index.SetRollout(sync.id(), progress.Cursor)
	view.Cursor = progress.Cursor
	o.rollout = &progress
}

// turns are the nodes in the order of the rollout, with what is known of them.
func (r *syncReconciler) turns(view *desired.SourceView, o *syncObservation) []rollout.Node {
	nodes := make([]rollout.Node, 0, len(view.Turns))
	for _, turn := range view.Turns {
		node := rollout.Node{Place: turn.Place}
		i, _ := slices.BinarySearchFunc(o.nodes, turn.Node, func(n nodeProgress, name string) int { return strings.Compare(n.name, name) })
		switch progress := &o.nodes[i]; {
		case !progress.connected:
			node.State, node.Replica = r.stateOfAbsent(turn.Node)
		case progress.worst == delivery.InSync:
			node.State = rollout.Done
		case progress.worst == delivery.Failing:
			node.State = rollout.Failed
		default:
			node.State = rollout.InProgress
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// recallGoneKeys finds what a node still holds of what the sync has covered, and this replica has
// not seen it cover: the leader before it has. It reports whether there is any.
func (r *syncReconciler) recallGoneKeys(memory *syncMemory, node string) bool {
	found := false
	for _, key := range r.Fleet.Waiting(node) {
		if slices.Contains(r.Index.SourcesOf(node, key), memory.sync.id()) {
			memory.covered.goneKeys[key] = struct{}{}
			found = true
		}
	}
	return found
}

// stateOfAbsent is the state of a node that is not connected here.
func (r *syncReconciler) stateOfAbsent(name string) (state rollout.State, replica string) {
	switch where := r.whereIs(name); {
	case where.replica != "":
		return rollout.Elsewhere, where.replica
	case where.expected:
		return rollout.InProgress, ""
	default:
		return rollout.Offline, ""
	}
}

// rolloutParts are the parts of other replicas that are about the present revision.
func (o *syncObservation) rolloutParts() map[string]rollout.Part {
	parts := map[string]rollout.Part{}
	for i := range o.parts {
		if part := &o.parts[i]; o.current(part) {
			parts[part.Name] = rollout.Part{
				Through: part.Through, Connected: int(part.Connected), Waiting: int(part.Waiting),
				Done: int(part.Synced), Failed: int(part.Failed),
			}
		}
	}
	return parts
}

// waitingNodes are the nodes whose turn has not come.
func waitingNodes(view *desired.SourceView) map[string]struct{} {
	waiting := map[string]struct{}{}
	for _, turn := range view.Turns {
		if turn.Waiting {
			waiting[turn.Node] = struct{}{}
		}
	}
	return waiting
}

// markWaiting tells of each node whether it waits for its turn.
func (o *syncObservation) markWaiting(view *desired.SourceView) {
	for _, turn := range view.Turns {
		i, _ := slices.BinarySearchFunc(o.nodes, turn.Node, func(n nodeProgress, name string) int { return strings.Compare(n.name, name) })
		o.nodes[i].waiting = !view.Cursor.Releases(view.Revision, turn.Place)
	}
}

// rolloutStatus is what status should say of the rollout, given what it says.
func rolloutStatus(before *syncv1alpha1.RolloutStatus, o *syncObservation) *syncv1alpha1.RolloutStatus {
	switch {
	case o.spec.Rollout == nil:
		return nil
	case o.rollout == nil: // it neither goes on nor goes back
		return before
	}
	return &syncv1alpha1.RolloutStatus{
		Revision: o.rollout.Revision, Through: o.rollout.Through,
		Released: int32(o.rollout.Released), Waiting: int32(o.rollout.Waiting), Paused: o.rollout.Paused,
	}
}

// pausedBy is why the rollout waits for somebody to act, if it does.
func pausedBy(failures []syncv1alpha1.SyncFailure, o *syncObservation) *watch.Problem {
	if o.rollout == nil || !o.rollout.Paused {
		return nil
	}
	return &watch.Problem{
		Reason: syncv1alpha1.ReasonRolloutPaused,
		Message: fmt.Sprintf("Too many nodes failed%s, so those whose turn has not come keep what they hold. "+
			"Correct the objects or what keeps the nodes from applying them, or change the objects back; or go on in spite of that with: %s",
			examplesOf(failures), o.resume+o.rollout.Revision),
	}
}

// examplesOf names the first nodes that fail.
func examplesOf(failures []syncv1alpha1.SyncFailure) string {
	const most = 3
	var names []string
	for _, failure := range failures {
		names = append(names, failure.Node)
	}
	names = slices.Compact(names)
	switch {
	case len(names) == 0:
		return ""
	case len(names) > most:
		return fmt.Sprintf(" (%s and others: see status.failures)", strings.Join(names[:most], ", "))
	default:
		return fmt.Sprintf(" (%s: see status.failures)", strings.Join(names, ", "))
	}
}

// rolloutWatch is how a rollout is watched: often while it moves, and less the longer it does not.
type rolloutWatch struct {
	last    rollout.Progress
	movedAt time.Time
}

// rolloutInterval is how often the leader looks at most whether a rollout can go on: often enough that
// it is the nodes that take the time.
const rolloutInterval = 100 * time.Millisecond

// pause is how soon a rollout is looked at again, as it has come so far now; 0 if it does not go
// on by itself: everything else that it depends on tells of its changes.
func (w *rolloutWatch) pause(now time.Time, at *rollout.Progress, atMost time.Duration) time.Duration {
	if at == nil || at.Waiting == 0 || at.Paused {
		return 0
	}
	if w.last != *at {
		w.last, w.movedAt = *at, now
	}
	return min(max(rolloutInterval, now.Sub(w.movedAt)), atMost)
}
