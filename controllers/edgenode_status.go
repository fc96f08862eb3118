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
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
)

// nodeObservation is all that the status of an EdgeNode is made of.
type nodeObservation struct {
	name       string
	generation int64
	spec       syncv1alpha1.EdgeNodeSpec
	replica    string
	// state is the session that this replica has with the node; nil if none.
	state *NodeState
	// unlisted is a kind that a sync of the node names, and that is not listed; empty if
	// there is none.
	unlisted string
	// renewalGrace is how long after its expiry a certificate can be renewed.
	renewalGrace time.Duration
	now          time.Time
}

// nodeStatus is what status should say, given what it says. A session of another replica
// is over: see edgeNodeReconciler.speaksFor.
func nodeStatus(before *syncv1alpha1.EdgeNodeStatus, o *nodeObservation) *syncv1alpha1.EdgeNodeStatus {
	after := before.DeepCopy()
	after.ObservedGeneration = o.generation
	if o.state != nil {
		connect(after, o)
	} else {
		disconnect(after, o)
	}
	for _, condition := range []metav1.Condition{connectedCondition(after, o), nodeSyncedCondition(o)} {
		condition.ObservedGeneration = o.generation
		apimeta.SetStatusCondition(&after.Conditions, condition)
	}
	return after
}

func connect(status *syncv1alpha1.EdgeNodeStatus, o *nodeObservation) {
	summary := &o.state.Summary
	status.Session = &syncv1alpha1.EdgeNodeSession{
		ID: o.state.SessionID, Replica: o.replica,
		ConnectedTime: metav1.NewTime(o.state.ConnectedTime).Rfc3339Copy(), RemoteAddress: o.state.RemoteAddress,
	}
	status.LastSeenTime = nil
	status.AgentVersion, status.BootID = o.state.AgentVersion, o.state.BootID
	status.Objects = syncv1alpha1.ObjectCounts{
		Desired: int32(summary.Desired), Held: int32(summary.Held), Pending: int32(summary.Pending),
		Failed: int32(summary.Failed), HeldBack: int32(summary.HeldBack),
	}
	known := status.Failures
	status.Failures = nil
	for _, failure := range summary.Failures[:min(len(summary.Failures), maxFailures)] {
		status.Failures = append(status.Failures, objectFailure(known, failure))
	}
}

func objectFailure(known []syncv1alpha1.ObjectFailure, failure delivery.Failure) syncv1alpha1.ObjectFailure {
	after := syncv1alpha1.ObjectFailure{
		Object: failure.Ref, Reason: failureReason(failure.Reason),
		Message: truncate(failure.Message), Since: metav1.NewTime(failure.Since).Rfc3339Copy(),
	}
	for _, before := range known {
		if before.Object == after.Object && before.Reason == after.Reason {
			after.Since = before.Since
		}
	}
	return after
}

// disconnect leaves what was last known of the objects.
func disconnect(status *syncv1alpha1.EdgeNodeStatus, o *nodeObservation) {
	if status.Session == nil {
		return
	}
	status.Session = nil
	now := metav1.NewTime(o.now).Rfc3339Copy()
	status.LastSeenTime = &now
}

func connectedCondition(status *syncv1alpha1.EdgeNodeStatus, o *nodeObservation) metav1.Condition {
	condition := metav1.Condition{Type: syncv1alpha1.ConditionConnected, Status: metav1.ConditionFalse}
	switch {
	case o.spec.Revoked:
		condition.Reason, condition.Message = syncv1alpha1.ReasonRevoked, "spec.revoked is set, so the node is refused."
	case o.state != nil && len(o.state.Contenders) > 0:
		condition.Status, condition.Reason = metav1.ConditionTrue, syncv1alpha1.ReasonDuplicateIdentity
		condition.Message = fmt.Sprintf("Several machines with the identity of this node take its session from each other, at last from %s: "+
			"join the copy again, under a name of its own. If there should be no copy, join the node again, with the token of "+
			"manager token create --node %s --rejoin", strings.Join(o.state.Contenders, " and "), o.name)
	case o.state != nil:
		condition.Status, condition.Reason = metav1.ConditionTrue, syncv1alpha1.ReasonConnected
		condition.Message = "The node has a session."
	case status.LastSeenTime != nil:
		condition.Reason = syncv1alpha1.ReasonDisconnected
		condition.Message = "The last session of the node has ended." + expiry(status, o)
	default:
		condition.Reason = syncv1alpha1.ReasonNeverConnected
		condition.Message = "No edge-agent has connected as this node yet." + expiry(status, o)
	}
	return condition
}

// expiry says what will become of a node that is away and whose last certificate has
// expired meanwhile; nothing if it has not.
func expiry(status *syncv1alpha1.EdgeNodeStatus, o *nodeObservation) string {
	switch expired, renewable := expiryOf(status, o); {
	case o.now.Before(expired) || expired.IsZero():
		return ""
	case o.now.Before(renewable):
		return " Its certificate has expired: it is renewed when the node connects, until the grace period is over."
	default:
		return fmt.Sprintf(" Its certificate has expired, and can no longer be renewed: join the node again, with the token of "+
			"manager token create --node %s --rejoin", o.name)
	}
}

// expiryOf is when the last certificate of the node expires, and until when it can be
// renewed; both are zero if none is known.
func expiryOf(status *syncv1alpha1.EdgeNodeStatus, o *nodeObservation) (expired, renewable time.Time) {
	if len(status.Certificates) == 0 {
		return time.Time{}, time.Time{}
	}
	expired = status.Certificates[0].NotAfter.Time
	return expired, expired.Add(o.renewalGrace)
}

// untilExpiry is how long it will be until a node that is away is to be looked at
// again, because expiry will say something else; 0 means never.
func untilExpiry(status *syncv1alpha1.EdgeNodeStatus, o *nodeObservation) time.Duration {
	expired, renewable := expiryOf(status, o)
	switch {
	case o.state != nil || !o.now.Before(renewable):
		return 0
	case o.now.Before(expired):
		return expired.Sub(o.now)
	default:
		return renewable.Sub(o.now)
	}
}

// nodeSyncedCondition says how far the node is, in one word. What somebody must act upon comes first.
func nodeSyncedCondition(o *nodeObservation) metav1.Condition {
	is := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: syncv1alpha1.ConditionSynced, Status: status, Reason: reason, Message: message}
	}
	switch {
	case o.spec.Revoked:
		return is(metav1.ConditionUnknown, syncv1alpha1.ReasonRevoked,
			"The node is refused: it keeps what it held, and what becomes of that cannot be told from here.")
	case o.state == nil:
		return is(metav1.ConditionUnknown, syncv1alpha1.ReasonOffline,
			"The node is away: it holds what it held, and is brought up to date when it connects.")
	case o.state.Summary.HeldBack > 0:
		return is(metav1.ConditionFalse, syncv1alpha1.ReasonDeletesHeldBack, fmt.Sprintf(
			"One change would delete most of what the node holds, so these deletions wait. Approve them with: "+
				"kubectl annotate edgenode %s --overwrite %s=%s",
			o.name, syncv1alpha1.AnnotationApproveDeletes, o.state.Summary.ApprovalCode))
	case o.state.Summary.Failed > 0:
		return is(metav1.ConditionFalse, syncv1alpha1.ReasonFailed,
			"The node refused or failed to apply at least one object: see status.failures.")
	case o.spec.Suspend:
		return is(metav1.ConditionUnknown, syncv1alpha1.ReasonSuspended, "spec.suspend is set, so the node keeps what it holds.")
	case o.unlisted != "" && o.state.Summary.Kept > 0:
		return is(metav1.ConditionUnknown, syncv1alpha1.ReasonKindNotListed, fmt.Sprintf(
			"A sync that selects the node names %s, which cannot be listed, so the node keeps what it holds of that kind. The sync says why.",
			o.unlisted))
	case o.state.Summary.Pending > 0 && o.state.Summary.Pending == o.state.Summary.Waiting:
		return is(metav1.ConditionFalse, syncv1alpha1.ReasonRollingOut,
			"The node keeps some of what it holds until its turn in a rollout comes. The sync says how far that is.")
	case o.state.Summary.Pending > 0:
		return is(metav1.ConditionFalse, syncv1alpha1.ReasonProgressing, "The node has still to store, apply or remove an object.")
	default:
		return is(metav1.ConditionTrue, syncv1alpha1.ReasonSynced, "The node has stored and applied everything that it should hold.")
	}
}

// differsOnlyInProgress reports whether two statuses of a node differ in nothing but
// what moves while objects are delivered.
func differsOnlyInProgress(a, b *syncv1alpha1.EdgeNodeStatus) bool {
	return equality.Semantic.DeepEqual(withoutProgress(a), withoutProgress(b))
}

func withoutProgress(status *syncv1alpha1.EdgeNodeStatus) *syncv1alpha1.EdgeNodeStatus {
	rest := status.DeepCopy()
	rest.Objects.Desired, rest.Objects.Held, rest.Objects.Pending = 0, 0, 0
	resetReasons(rest.Conditions, syncv1alpha1.ReasonSynced, syncv1alpha1.ReasonProgressing, syncv1alpha1.ReasonRollingOut, syncv1alpha1.ReasonKindNotListed)
	return rest
}
