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
)

// Query parameters of a NodeInventory. Without them it has every object.
const (
	// ParameterObject selects one object: [group/]Kind/[namespace/]name.
	ParameterObject = "object"
	// ParameterDifferent with the value "true" selects objects that the node does not have as
	// it should.
	ParameterDifferent = "different"
)

// NodeInventory is what a node should hold and what it does, object by object, as the
// replica that has its session knows it at this moment. Its name is that of the EdgeNode.
//
// +kubebuilder:object:root=true
type NodeInventory struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// session is the id of the session that this is known from.
	Session string `json:"session"`
	// replica is the name of the manager that holds the session.
	Replica string `json:"replica"`
	// connectedTime is when the session began: what was sent before has no times here.
	ConnectedTime metav1.Time `json:"connectedTime"`
	// total is how many objects the node should hold, or holds, whichever are selected.
	Total int32 `json:"total"`
	// objects are ordered by group, kind, namespace and name.
	Objects []InventoryObject `json:"objects"`
	// truncated says that there are more objects than are shown.
	// +optional
	Truncated bool `json:"truncated,omitempty"`
}

// State is what has become of an object on a node.
type State string

// States of an object, in the order in which it goes through them.
const (
	// StateFrozen: the node keeps what it holds, since a sync or the node is suspended, or it
	// is not known what it should hold.
	StateFrozen State = "Frozen"
	// StateWaiting: the turn of the node in a rollout has not come.
	StateWaiting State = "WaitingForTurn"
	// StateQueued: to be sent.
	StateQueued State = "Queued"
	// StateSent: sent, and not answered.
	StateSent State = "Sent"
	// StatePersisted: stored by the node, and not applied yet.
	StatePersisted State = "Persisted"
	// StateProgressing: applied, and not healthy yet.
	StateProgressing State = "Progressing"
	// StateSynced: stored and applied.
	StateSynced State = "Synced"
	// StateRemoving: no longer held, not yet removed where it was applied.
	StateRemoving State = "Removing"
	// StateHeldBack: to be deleted once that is approved.
	StateHeldBack State = "HeldBack"
	// StateFailed: see failure.
	StateFailed State = "Failed"
)

// InventoryObject is one object that a node should hold, or holds.
type InventoryObject struct {
	// +optional
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`

	State State `json:"state"`
	// desired is the version that the node should hold; absent if it should hold none.
	// +optional
	Desired *ObjectVersion `json:"desired,omitempty"`
	// held is the version that the node has stored; absent if it has none.
	// +optional
	Held *ObjectVersion `json:"held,omitempty"`
	// sources are the syncs that want the object on the node, or that keep it there, as
	// namespace/name of an ObjectSync or name of a ClusterObjectSync.
	// +optional
	Sources []string `json:"sources,omitempty"`

	// sentTime, persistedTime and appliedTime are when the object was last sent to the node in
	// this session, and when the hub heard that it was stored, and applied.
	// +optional
	SentTime *metav1.MicroTime `json:"sentTime,omitempty"`
	// +optional
	PersistedTime *metav1.MicroTime `json:"persistedTime,omitempty"`
	// +optional
	AppliedTime *metav1.MicroTime `json:"appliedTime,omitempty"`

	// failure is what went wrong last, if it has not been made good.
	// +optional
	Failure *InventoryFailure `json:"failure,omitempty"`
}

// ObjectVersion is one version of an object.
type ObjectVersion struct {
	UID             string `json:"uid"`
	ResourceVersion string `json:"resourceVersion"`
	// digest identifies the content, in hexadecimal.
	Digest string `json:"digest"`
}

// InventoryFailure is what went wrong with an object.
type InventoryFailure struct {
	// reason is one of the Failure reasons of sync.edgesync.io.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// since is when it was first seen in this session.
	Since metav1.Time `json:"since"`
}
