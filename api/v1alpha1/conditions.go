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

package v1alpha1

// Conditions of ObjectSync, ClusterObjectSync and EdgeNode. Messages are
// deterministic: they hold no timestamps and no counters that move with every ack.
const (
	// ConditionSynced is True when every connected node that is meant (or, on an
	// EdgeNode, this node) has stored and applied every object that it should hold,
	// and holds nothing else that came from edgesync. Nodes that are away do not
	// make a sync's condition False; a node that is away has Unknown.
	ConditionSynced = "Synced"

	// ConditionStalled is True on an ObjectSync or ClusterObjectSync that cannot go
	// on until somebody acts; its message says who must do what. It is absent or
	// False otherwise (abnormal-true polarity).
	ConditionStalled = "Stalled"

	// ConditionConnected is True on an EdgeNode while a session of the node lives.
	ConditionConnected = "Connected"
)

// Reasons of ConditionSynced. While ConditionStalled is True, its reason is that of
// ConditionSynced as well, so that one column shows it.
const (
	// ReasonSynced: everything is stored and applied.
	ReasonSynced = "Synced"
	// ReasonProgressing: at least one connected node is still to store or apply something.
	ReasonProgressing = "Progressing"
	// ReasonFailed: at least one connected node refused or failed to apply an object.
	ReasonFailed = "Failed"
	// ReasonNoNodes: no EdgeNode matches; those that are revoked do not.
	ReasonNoNodes = "NoNodes"
	// ReasonNoObjects: the named object does not exist, or no object matches.
	ReasonNoObjects = "NoObjects"
	// ReasonOffline: no matching node is connected, or this node is not.
	ReasonOffline = "Offline"
	// ReasonSuspended: spec.suspend is set.
	ReasonSuspended = "Suspended"
	// ReasonDeleting: the sync is being deleted and connected nodes still hold its objects.
	ReasonDeleting = "Deleting"
	// ReasonKindNotListed: on an EdgeNode, it is not known whether the node should hold all
	// that it holds, since a sync that selects it names a kind that cannot be listed (yet).
	// That sync is Stalled, and says why.
	ReasonKindNotListed = "KindNotListed"
	// ReasonRollingOut: connected nodes wait for their turn in the rollout.
	ReasonRollingOut = "RollingOut"
	// ReasonRolloutPaused: too many nodes failed, so those whose turn has not come keep what
	// they hold; the message says how to go on.
	ReasonRolloutPaused = "RolloutPaused"
	// ReasonDeletesHeldBack: one change would remove most of what a node holds; the
	// deletions wait for the annotation AnnotationApproveDeletes.
	ReasonDeletesHeldBack = "DeletesHeldBack"
)

// Reasons of ConditionStalled; ReasonDeletesHeldBack is one as well.
const (
	// ReasonKindUnknown: the API server does not serve the kind (yet).
	ReasonKindUnknown = "KindUnknown"
	// ReasonForbidden: the manager may not list and watch the kind; the message
	// holds the manifest that allows it.
	ReasonForbidden = "Forbidden"
	// ReasonWrongScope: a namespaced kind in a ClusterObjectSync, or the reverse.
	ReasonWrongScope = "WrongScope"
	// ReasonWatchFailed: listing or watching the kind fails for another cause.
	ReasonWatchFailed = "WatchFailed"
	// ReasonInvalidSelector: a label selector cannot be parsed.
	ReasonInvalidSelector = "InvalidSelector"
)

// Reasons of ConditionConnected.
const (
	// ReasonConnected: a session lives.
	ReasonConnected = "Connected"
	// ReasonDuplicateIdentity: a session lives, and several machines with the identity of
	// the node take it from each other: a cloned disk, or a stolen key.
	ReasonDuplicateIdentity = "DuplicateIdentity"
	// ReasonDisconnected: the last session ended.
	ReasonDisconnected = "Disconnected"
	// ReasonNeverConnected: the node has not connected yet.
	ReasonNeverConnected = "NeverConnected"
	// ReasonRevoked: spec.revoked is set, so the node is refused. It is a reason of
	// ConditionSynced of the node as well.
	ReasonRevoked = "Revoked"
)

// Reasons of an IssuedCertificate, and of the Event about it.
const (
	// ReasonJoined: a machine has joined as the node.
	ReasonJoined = "Joined"
	// ReasonRenewed: the node has renewed the certificate that it had.
	ReasonRenewed = "Renewed"
	// ReasonRenewedAfterExpiry: the certificate that the node had was over, and the
	// grace period was not.
	ReasonRenewedAfterExpiry = "RenewedAfterExpiry"
)

// ReasonRolloutComplete is the reason of the Event that says that every node has had its turn
// in a rollout.
const ReasonRolloutComplete = "RolloutComplete"

// Failure reasons: why a node does not hold, or did not apply, an object.
const (
	// FailureRejected: the node refused the object; it is not sent again until it changes.
	FailureRejected = "Rejected"
	// FailureTooLarge: the object is larger than the node accepts; it is not sent until it changes.
	FailureTooLarge = "TooLarge"
	// FailureStoreFailed: the node could not store the object (a full disk, say); it is sent again.
	FailureStoreFailed = "StoreFailed"
	// FailureApplyFailed: the node stored the object and could not apply it; the node tries again.
	FailureApplyFailed = "ApplyFailed"
	// FailureRemoveFailed: the node could not take the object away; the node tries again.
	FailureRemoveFailed = "RemoveFailed"
)

const (
	// Finalizer is on every ObjectSync and ClusterObjectSync, so that the objects are
	// first taken away from the connected nodes.
	Finalizer = "sync.edgesync.io/objects"

	// AnnotationApproveDeletes releases deletions that are held back because one
	// change would remove more than half of a node's objects, and at least ten. On an
	// ObjectSync or ClusterObjectSync the value "true" approves all deletions of objects
	// that the sync selects; on an EdgeNode the value is the code that its Synced
	// condition shows, and approves just those deletions.
	AnnotationApproveDeletes = "sync.edgesync.io/approve-deletes"

	// AnnotationResumeRollout on an ObjectSync or ClusterObjectSync has a rollout go on in
	// spite of its failures. Its value is the revision, as status.rollout.revision shows it, so
	// that it does not hold for the next change.
	AnnotationResumeRollout = "sync.edgesync.io/resume-rollout"

	// AnnotationFormerUID names the uid that an EdgeNode had before it was restored into
	// another cluster: certificates that were issued for that uid are good for it too.
	AnnotationFormerUID = "sync.edgesync.io/former-uid"

	// SelfLabelPrefix begins the key of every label of an EdgeNode that the node says of
	// itself. All others come from the administrator.
	SelfLabelPrefix = "self.sync.edgesync.io/"

	// LabelAggregateToManager with the value "true" adds a ClusterRole's rules to
	// what the manager may read.
	LabelAggregateToManager = "sync.edgesync.io/aggregate-to-manager"
)
