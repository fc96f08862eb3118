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

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// DeletionPolicy says what becomes of an object on a node when nothing wants it
// there any longer.
//
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

const (
	// DeletionPolicyDelete takes the object away from the node.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyRetain leaves the object on the node, and the node forgets that
	// it came from edgesync. Where several syncs want one object, a single Retain is enough.
	DeletionPolicyRetain DeletionPolicy = "Retain"
)

// SyncSpec says which objects belong on which nodes. It is shared by ObjectSync,
// where the objects are those of its own namespace, and ClusterObjectSync, where
// they are cluster-scoped.
//
// +kubebuilder:validation:XValidation:rule="has(self.objectRef) != has(self.objectSelector)",message="exactly one of objectRef and objectSelector must be set"
// +kubebuilder:validation:XValidation:rule="has(self.nodeName) != has(self.nodeSelector)",message="exactly one of nodeName and nodeSelector must be set"
// +kubebuilder:validation:XValidation:rule="has(self.objectRef) == has(oldSelf.objectRef)",message="objectRef and objectSelector cannot be exchanged for one another: delete the sync and create another"
type SyncSpec struct {
	// objectRef names one object. It may not exist yet: it is delivered once it does.
	// It is immutable.
	// +optional
	ObjectRef *ObjectReference `json:"objectRef,omitempty"`

	// objectSelector selects every object of one kind whose labels match.
	// Its apiVersion and kind are immutable.
	// +optional
	ObjectSelector *ObjectSelector `json:"objectSelector,omitempty"`

	// nodeName names the one EdgeNode that gets the objects. It may not exist yet.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	NodeName string `json:"nodeName,omitempty"`

	// nodeSelector selects EdgeNodes by their labels; an empty selector selects all of them.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`

	// deletionPolicy says what becomes of the objects on a node when nothing wants
	// them there any longer: because this sync is deleted, because the node is no
	// longer selected, or because the object itself is deleted.
	// +kubebuilder:default=Delete
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// rollout limits how many nodes change at once when the objects change. Without it all do.
	// +optional
	Rollout *Rollout `json:"rollout,omitempty"`

	// suspend stops the delivery of changes, deletions included: the nodes keep what they hold.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// ObjectReference names one object by its kind and name. The namespace is that of
// the ObjectSync, or none for a ClusterObjectSync.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="objectRef is immutable: delete the sync and create another"
type ObjectReference struct {
	// apiVersion is the group and version of the object, such as v1 or apps/v1.
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[a-z]([-a-z0-9]*[a-z0-9])?$')",message="apiVersion is a group and a version, such as apps/v1, or v1 for the core group"
	// +required
	APIVersion string `json:"apiVersion"`

	// kind is the kind of the object, such as ConfigMap.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$')",message="kind is the name of a kind, such as ConfigMap"
	// +required
	Kind string `json:"kind"`

	// name is the name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
}

// ObjectSelector selects the objects of one kind by their labels. Without matchLabels
// and matchExpressions it selects all of them.
//
// +kubebuilder:validation:XValidation:rule="self.apiVersion == oldSelf.apiVersion && self.kind == oldSelf.kind",message="apiVersion and kind are immutable: delete the sync and create another"
type ObjectSelector struct {
	// apiVersion is the group and version of the objects, such as v1 or apps/v1.
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[a-z]([-a-z0-9]*[a-z0-9])?$')",message="apiVersion is a group and a version, such as apps/v1, or v1 for the core group"
	// +required
	APIVersion string `json:"apiVersion"`

	// kind is the kind of the objects, such as ConfigMap.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$')",message="kind is the name of a kind, such as ConfigMap"
	// +required
	Kind string `json:"kind"`

	metav1.LabelSelector `json:",inline"`
}

// Rollout says how a change of the objects goes from node to node: in an order, a bounded
// number of nodes at once, and no further once too many have failed. Nodes whose turn has
// not come keep what they hold. Nodes that are away neither hold a rollout up nor count as
// failures: their turn passes, and they are brought up to date when they return.
//
// Rolling back is to change the objects back, which is a rollout like any other.
type Rollout struct {
	// maxInProgress is the number of nodes, or the percentage of the connected nodes
	// (rounded up), that may be changing at once: those whose turn has come and that have
	// not applied the objects yet, nor failed to. The default is all of them.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : self.matches('^([1-9]|[1-9][0-9]|100)%$')",message="maxInProgress is a positive number, or a percentage from 1% to 100%"
	// +optional
	MaxInProgress *intstr.IntOrString `json:"maxInProgress,omitempty"`

	// pauseAfterFailures pauses the rollout once that many nodes whose turn has come fail.
	// It goes on when fewer do, when the objects or this sync are changed, or with the
	// annotation sync.edgesync.io/resume-rollout.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +optional
	PauseAfterFailures *int32 `json:"pauseAfterFailures,omitempty"`

	// partition divides the nodes into parts that follow one another, such as canaries
	// and then all others. Without it there is one part.
	// +optional
	Partition *RolloutPartition `json:"partition,omitempty"`
}

// RolloutPartition puts nodes into parts by the value of one label. A part begins once every
// connected node of the part before has applied the objects, or has failed to.
type RolloutPartition struct {
	// label is the key of a label of EdgeNodes.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +required
	Label string `json:"label"`

	// values are values of the label, in the order in which their nodes take part. Nodes
	// with another value, or without the label, are the last part.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	// +required
	Values []string `json:"values"`
}

// SyncStatus says how far the objects of a sync have come. It is an aggregate over
// the nodes, written at most once a second.
type SyncStatus struct {
	// observedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// objectResourceVersion is the resourceVersion of the object that objectRef names:
	// every synced node holds its content. Empty while the object does not exist,
	// and for an objectSelector.
	// +optional
	ObjectResourceVersion string `json:"objectResourceVersion,omitempty"`

	// objects is the number of objects that each desired node should hold for this sync.
	// +optional
	Objects int32 `json:"objects"`

	// desired is the number of nodes that should hold the objects. It is the sum of
	// synced, pending, failed and offline.
	// +optional
	Desired int32 `json:"desired"`

	// synced is the number of connected nodes that have stored and applied every object.
	// +optional
	Synced int32 `json:"synced"`

	// pending is the number of connected nodes that are still to store or apply an object;
	// while the sync is suspended, or its objects are not known, all that do not fail.
	// +optional
	Pending int32 `json:"pending"`

	// failed is the number of connected nodes that refused, or failed to apply, an object.
	// +optional
	Failed int32 `json:"failed"`

	// offline is the number of nodes without a connection.
	// +optional
	Offline int32 `json:"offline"`

	// failures are examples of what went wrong, ordered by node and object.
	// +listType=map
	// +listMapKey=node
	// +listMapKey=object
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Failures []SyncFailure `json:"failures,omitempty"`

	// rollout is how far the last change of the objects has come. Absent without spec.rollout.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`

	// replicas are what the replicas of the manager other than the leader know of the nodes
	// that are connected to them. The counts above contain it.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Replicas []ReplicaSyncStatus `json:"replicas,omitempty"`

	// conditions: Synced and Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RolloutStatus is how far a rollout has come.
type RolloutStatus struct {
	// revision identifies what is rolled out: the objects in their present content, and how
	// nodes are selected and ordered.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Revision string `json:"revision,omitempty"`

	// through is the place, in the order of the nodes, up to which their turn has come. It
	// is for the replicas of the manager.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Through string `json:"through,omitempty"`

	// released is the number of nodes whose turn has come, those that are away included.
	// +optional
	Released int32 `json:"released"`

	// waiting is the number of nodes whose turn has not come. It is part of pending and offline.
	// +optional
	Waiting int32 `json:"waiting"`

	// paused says that too many nodes failed: the condition Stalled says which and how to go on.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// ReplicaSyncStatus is what one replica of the manager knows of the nodes of a sync that are
// connected to it.
type ReplicaSyncStatus struct {
	// name is the name of the replica.
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// observedGeneration is the generation of the spec that this describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// revision identifies the objects that this describes, as status.rollout.revision does.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Revision string `json:"revision,omitempty"`

	// through is the place up to which the replica has released the rollout.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Through string `json:"through,omitempty"`

	// connected is the number of desired nodes that are connected to the replica.
	// +optional
	Connected int32 `json:"connected"`

	// synced is how many of them have stored and applied every object.
	// +optional
	Synced int32 `json:"synced"`

	// failed is how many of them refused, or failed to apply, an object.
	// +optional
	Failed int32 `json:"failed"`

	// waiting is how many of them wait for their turn in the rollout.
	// +optional
	Waiting int32 `json:"waiting,omitempty"`

	// removing is the number of nodes, desired or not, from which the replica is still to take
	// away what the sync brought.
	// +optional
	Removing int32 `json:"removing,omitempty"`

	// heldBack says that some of that waits for approval.
	// +optional
	HeldBack bool `json:"heldBack,omitempty"`

	// failures are examples of what went wrong, ordered by node and object.
	// +listType=map
	// +listMapKey=node
	// +listMapKey=object
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Failures []SyncFailure `json:"failures,omitempty"`
}

// SyncFailure is one object that one node refused or failed to apply.
type SyncFailure struct {
	// node is the name of the EdgeNode.
	// +required
	Node string `json:"node"`

	// object is the object in the form apiVersion/Kind/name.
	// +required
	Object string `json:"object"`

	// reason is a CamelCase word: see the Failure reasons of this API.
	// +required
	Reason string `json:"reason"`

	// message says what went wrong, in the node's words.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Message string `json:"message,omitempty"`

	// since is when the failure was first seen.
	// +required
	Since metav1.Time `json:"since"`
}

// ObjectSync says that objects of its own namespace belong on edge nodes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=osync,categories=edgesync
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desired`
// +kubebuilder:printcolumn:name="Synced",type=integer,JSONPath=`.status.synced`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.pending`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failed`
// +kubebuilder:printcolumn:name="Offline",type=integer,JSONPath=`.status.offline`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Waiting",type=integer,priority=1,JSONPath=`.status.rollout.waiting`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Synced")].message`
type ObjectSync struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// +required
	Spec SyncSpec `json:"spec"`
	// +optional
	Status SyncStatus `json:"status,omitzero"`
}

// ObjectSyncList is a list of ObjectSync.
//
// +kubebuilder:object:root=true
type ObjectSyncList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ObjectSync `json:"items"`
}

// ClusterObjectSync says that cluster-scoped objects belong on edge nodes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cosync,categories=edgesync
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desired`
// +kubebuilder:printcolumn:name="Synced",type=integer,JSONPath=`.status.synced`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.pending`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failed`
// +kubebuilder:printcolumn:name="Offline",type=integer,JSONPath=`.status.offline`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Waiting",type=integer,priority=1,JSONPath=`.status.rollout.waiting`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Synced")].message`
type ClusterObjectSync struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// +required
	Spec SyncSpec `json:"spec"`
	// +optional
	Status SyncStatus `json:"status,omitzero"`
}

// ClusterObjectSyncList is a list of ClusterObjectSync.
//
// +kubebuilder:object:root=true
type ClusterObjectSyncList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ClusterObjectSync `json:"items"`
}
