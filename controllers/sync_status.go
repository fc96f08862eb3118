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
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
	"github.com/edgesync/edgesync/internal/watch"
)

const maxFailures = 10

// syncObservation is all that the status of a sync is made of.
type syncObservation struct {
	generation int64
	spec       *syncv1alpha1.SyncSpec
	deleting   bool
	// approve is the command that approves deletions of the sync.
	approve string
	// problem keeps the sync from going on; nil if nothing does.
	problem *watch.Problem
	listed  bool
	objects int
	// objectVersion is the resource version of the one object that is named.
	objectVersion string
	// revision identifies the objects, and through is the place up to which it is released.
	revision, through string
	// rollout is how far the leader has come; nil without one, or if it does not go on.
	rollout *rollout.Progress
	// resume, followed by the revision, is the command that has a paused rollout go on.
	resume string
	// nodes are those that should hold the objects, ordered by name.
	nodes []nodeProgress
	// removing is the number of nodes that are connected here and still hold what the sync
	// has brought and nothing wants there.
	removing int
	// heldBack says that deletions of the sync wait for approval, on whichever node that is
	// connected here.
	heldBack bool
	// parts are what other replicas that live say; nil unless this one leads.
	parts []syncv1alpha1.ReplicaSyncStatus
}

// nodeProgress is how far one node is with all objects of a sync. connected means here.
type nodeProgress struct {
	name      string
	connected bool
	// elsewhere is the replica, one that lives, that has the session of a node that is not
	// connected here; empty if there is none, or if this replica does not lead.
	elsewhere string
	// waiting says that its turn in the rollout has not come.
	waiting  bool
	worst    delivery.Progress
	failures []delivery.Failure
}

// syncStatus is what status should say, given what it says.
func syncStatus(before *syncv1alpha1.SyncStatus, o *syncObservation) *syncv1alpha1.SyncStatus {
	after := before.DeepCopy()
	after.ObservedGeneration = o.generation
	after.ObjectResourceVersion = o.objectVersion
	after.Objects = int32(o.objects)
	countNodes(after, o)
	after.Failures = syncFailures(before.Failures, o)
	after.Replicas = o.parts
	after.Rollout = rolloutStatus(before.Rollout, o)
	synced := syncedCondition(after, o)
	synced.ObservedGeneration = o.generation
	apimeta.SetStatusCondition(&after.Conditions, synced)
	if stalled := stalledBy(after.Failures, o); stalled != nil {
		apimeta.SetStatusCondition(&after.Conditions, metav1.Condition{
			Type: syncv1alpha1.ConditionStalled, Status: metav1.ConditionTrue,
			Reason: stalled.Reason, Message: stalled.Message, ObservedGeneration: o.generation,
		})
	} else {
		apimeta.RemoveStatusCondition(&after.Conditions, syncv1alpha1.ConditionStalled)
	}
	return after
}

func countNodes(status *syncv1alpha1.SyncStatus, o *syncObservation) {
	t := o.allNodes()
	status.Desired = int32(len(o.nodes))
	status.Synced, status.Failed = t.synced, t.failed
	status.Pending = t.connected - t.synced - t.failed
	status.Offline = status.Desired - t.connected
}

// stalledBy is why the sync waits for somebody to act, if it does.
func stalledBy(failures []syncv1alpha1.SyncFailure, o *syncObservation) *watch.Problem {
	switch {
	case o.problem != nil:
		return o.problem
	case !o.heldBack && !o.othersHoldBack():
		return pausedBy(failures, o)
	}
	return &watch.Problem{
		Reason: syncv1alpha1.ReasonDeletesHeldBack,
		Message: "One change would delete most of what a connected node holds, so the deletions wait. " +
			"The condition Synced of the EdgeNode says which nodes do. Approve all deletions of this sync with: " + o.approve,
	}
}

// syncedCondition says how far the sync is, in one word. What somebody must act upon comes first.
func syncedCondition(status *syncv1alpha1.SyncStatus, o *syncObservation) metav1.Condition {
	not := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: syncv1alpha1.ConditionSynced, Status: status, Reason: reason, Message: message}
	}
	stalled := stalledBy(status.Failures, o)
	switch {
	case stalled != nil:
		return not(metav1.ConditionFalse, stalled.Reason, stalled.Message)
	case o.deleting:
		return not(metav1.ConditionFalse, syncv1alpha1.ReasonDeleting,
			"Connected nodes are taking the objects away; nodes that are away do so when they come back.")
	case o.spec.Suspend:
		return not(metav1.ConditionUnknown, syncv1alpha1.ReasonSuspended,
			"spec.suspend is set, so nodes keep what they hold.")
	case !o.listed:
		return not(metav1.ConditionUnknown, syncv1alpha1.ReasonProgressing, "The objects are being listed.")
	case status.Desired == 0:
		return not(metav1.ConditionFalse, syncv1alpha1.ReasonNoNodes, missingNodes(o.spec))
	case status.Failed > 0:
		return not(metav1.ConditionFalse, syncv1alpha1.ReasonFailed,
			"At least one connected node refused or failed to apply an object: see status.failures.")
	case o.rollout != nil && o.rollout.Waiting > 0:
		return not(metav1.ConditionFalse, syncv1alpha1.ReasonRollingOut,
			fmt.Sprintf("%d of %d nodes have had their turn.", o.rollout.Released, status.Desired))
	case status.Pending > 0:
		return not(metav1.ConditionFalse, syncv1alpha1.ReasonProgressing,
			"At least one connected node has still to store, apply or remove an object.")
	case o.objects == 0:
		return not(metav1.ConditionFalse, syncv1alpha1.ReasonNoObjects,
			missingObjects(o.spec)+" It is delivered as soon as one does.")
	case status.Synced == 0:
		return not(metav1.ConditionUnknown, syncv1alpha1.ReasonOffline, "No matching node is connected.")
	default:
		return not(metav1.ConditionTrue, syncv1alpha1.ReasonSynced,
			"Every connected node has stored and applied every object.")
	}
}

func missingNodes(spec *syncv1alpha1.SyncSpec) string {
	if spec.NodeName != "" {
		return fmt.Sprintf("The EdgeNode %q does not exist, or is revoked. The objects are delivered as soon as it may connect.", spec.NodeName)
	}
	return "No EdgeNode matches spec.nodeSelector. The objects are delivered as soon as one does."
}

func missingObjects(spec *syncv1alpha1.SyncSpec) string {
	if ref := spec.ObjectRef; ref != nil {
		return fmt.Sprintf("The %s %q does not exist.", ref.Kind, ref.Name)
	}
	return fmt.Sprintf("No %s matches spec.objectSelector.", spec.ObjectSelector.Kind)
}

// syncFailures are the first failures by node and object, whichever replica has the node.
func syncFailures(before []syncv1alpha1.SyncFailure, o *syncObservation) []syncv1alpha1.SyncFailure {
	all := [][]syncv1alpha1.SyncFailure{ownFailures(before, o)}
	for i := range o.parts {
		if part := &o.parts[i]; o.current(part) {
			all = append(all, part.Failures)
		}
	}
	return mergeFailures(all...)
}

// ownFailures are the first failures, by node and object, of nodes that are connected here.
func ownFailures(before []syncv1alpha1.SyncFailure, o *syncObservation) []syncv1alpha1.SyncFailure {
	var failures []syncv1alpha1.SyncFailure
	for _, node := range o.nodes {
		if len(failures) >= maxFailures {
			break
		}
		if !node.connected {
			continue
		}
		ofNode := make([]syncv1alpha1.SyncFailure, 0, len(node.failures))
		for _, failure := range node.failures {
			ofNode = append(ofNode, syncFailure(before, node.name, apiVersionOf(o.spec), failure))
		}
		slices.SortFunc(ofNode, func(a, b syncv1alpha1.SyncFailure) int { return cmp.Compare(a.Object, b.Object) })
		failures = append(failures, ofNode...)
	}
	return failures[:min(len(failures), maxFailures)]
}

func syncFailure(before []syncv1alpha1.SyncFailure, node, apiVersion string, failure delivery.Failure) syncv1alpha1.SyncFailure {
	after := syncv1alpha1.SyncFailure{
		Node:    node,
		Object:  object.Key{Kind: failure.Key.Kind, Name: failure.Key.Name}.Ref(apiVersion),
		Reason:  failureReason(failure.Reason),
		Message: truncate(failure.Message),
		Since:   metav1.NewTime(failure.Since),
	}
	for _, known := range before {
		// A node that reconnects, or a manager that restarts, does not make it a new failure.
		if known.Node == after.Node && known.Object == after.Object && known.Reason == after.Reason {
			after.Since = known.Since
		}
	}
	return after
}

// differsOnlyInConnections reports whether two statuses of a sync differ because nodes
// have come or gone, and in nothing else.
func differsOnlyInConnections(a, b *syncv1alpha1.SyncStatus) bool {
	return a.Offline != b.Offline && equality.Semantic.DeepEqual(withoutConnections(a), withoutConnections(b))
}

func withoutConnections(status *syncv1alpha1.SyncStatus) *syncv1alpha1.SyncStatus {
	rest := status.DeepCopy()
	rest.Synced, rest.Pending, rest.Offline = 0, 0, 0
	resetReasons(rest.Conditions, syncv1alpha1.ReasonSynced, syncv1alpha1.ReasonProgressing, syncv1alpha1.ReasonOffline)
	return rest
}
