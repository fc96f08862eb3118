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
// +kubebuilder:validation:XValidation:rule="!has(self.rollout)",message="rollout is not supported yet: leave it out, and every matching node gets each change at once"
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

	// rollout limits how many nodes change at once. It is reserved: setting it is refused.
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

// Rollout limits how many nodes change at once.
type Rollout struct {
	// maxInProgress is the number or percentage of nodes that may be changing at once.
	// +optional
	MaxInProgress *intstr.IntOrString `json:"maxInProgress,omitempty"`

	// pauseAfterFailures pauses the rollout after that many nodes have failed.
	// +kubebuilder:validation:Minimum=1
	// +optional
	PauseAfterFailures *int32 `json:"pauseAfterFailures,omitempty"`
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

	// conditions: Synced and Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
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
