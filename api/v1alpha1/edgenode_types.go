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

// EdgeNodeSpec is what the administrator wants of a node.
type EdgeNodeSpec struct {
	// suspend stops the delivery of changes, deletions included: the node stays
	// connected and keeps what it holds.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// revoked ends the node's session and refuses the node from then on.
	// +optional
	Revoked bool `json:"revoked,omitempty"`

	// bytesPerSecond bounds what the hub sends to the node, on average over some seconds, so
	// that its link stays usable for others. Without it the manager's flag
	// --node-bytes-per-second applies.
	// +kubebuilder:validation:Minimum=1024
	// +optional
	BytesPerSecond *int64 `json:"bytesPerSecond,omitempty"`

	// workloads says that a kubelet runs on the node, under the same name. It is reserved.
	// +optional
	Workloads bool `json:"workloads,omitempty"`
}

// EdgeNodeStatus is what is known of a node.
type EdgeNodeStatus struct {
	// observedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// session is the connection that the node has now. Absent while it has none.
	// +optional
	Session *EdgeNodeSession `json:"session,omitempty"`

	// lastSeenTime is when the last session ended; absent while the node is
	// connected or if it has never been.
	// +optional
	LastSeenTime *metav1.Time `json:"lastSeenTime,omitempty"`

	// agentVersion is the version of the edge-agent, as of its last connection.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`

	// bootID changes when the machine has booted.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	BootID string `json:"bootID,omitempty"`

	// joins counts the times that a machine has joined as this node. Certificates of
	// an earlier join are refused.
	// +optional
	Joins int64 `json:"joins,omitempty"`

	// certificates are the last that were issued to the node, the newest first.
	// +listType=map
	// +listMapKey=serial
	// +kubebuilder:validation:MaxItems=5
	// +optional
	Certificates []IssuedCertificate `json:"certificates,omitempty"`

	// objects counts the objects of the node, as they were when they had last been at
	// rest for some seconds. While the node is away it is what was last written.
	// +optional
	Objects ObjectCounts `json:"objects"`

	// failures are examples of objects that the node refused or failed to apply,
	// ordered by object.
	// +listType=map
	// +listMapKey=object
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Failures []ObjectFailure `json:"failures,omitempty"`

	// conditions: Connected and Synced.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IssuedCertificate is a certificate that the manager has issued to a node.
type IssuedCertificate struct {
	// serial is the serial number of the certificate, in hexadecimal.
	// +kubebuilder:validation:MaxLength=64
	// +required
	Serial string `json:"serial"`

	// reason says what it was issued for: Joined, Renewed, or RenewedAfterExpiry.
	// +required
	Reason string `json:"reason"`

	// issuedTime is when it was issued.
	// +required
	IssuedTime metav1.Time `json:"issuedTime"`

	// notAfter is when it expires.
	// +required
	NotAfter metav1.Time `json:"notAfter"`

	// remoteAddress is where the request came from.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	RemoteAddress string `json:"remoteAddress,omitempty"`
}

// EdgeNodeSession is one connection of a node.
type EdgeNodeSession struct {
	// id is unique to the session.
	// +required
	ID string `json:"id"`

	// replica is the name of the manager that holds the session.
	// +required
	Replica string `json:"replica"`

	// connectedTime is when the session began.
	// +required
	ConnectedTime metav1.Time `json:"connectedTime"`

	// remoteAddress is where the connection came from, which behind NAT is not the node's own address.
	// +optional
	RemoteAddress string `json:"remoteAddress,omitempty"`
}

// ObjectCounts counts the objects of a node.
type ObjectCounts struct {
	// desired is the number of objects that the node should hold.
	// +optional
	Desired int32 `json:"desired"`

	// held is the number of objects that the node has stored, in any version.
	// +optional
	Held int32 `json:"held"`

	// pending is the number of objects that are still to be stored, applied or taken away.
	// +optional
	Pending int32 `json:"pending"`

	// failed is the number of objects that the node refused or failed to apply.
	// +optional
	Failed int32 `json:"failed"`

	// heldBack is the number of deletions that wait for approval: see the
	// annotation sync.edgesync.io/approve-deletes.
	// +optional
	HeldBack int32 `json:"heldBack"`
}

// ObjectFailure is one object that a node refused or failed to apply.
type ObjectFailure struct {
	// object is the object in the form apiVersion/Kind/namespace/name, or
	// apiVersion/Kind/name for a cluster-scoped object.
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

// EdgeNode is one machine at the edge that runs an edge-agent. Its labels are what
// the node selectors of syncs match.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=en,categories=edgesync
// +kubebuilder:printcolumn:name="Connected",type=string,JSONPath=`.status.conditions[?(@.type=="Connected")].status`
// +kubebuilder:printcolumn:name="Synced",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].status`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.objects.desired`
// +kubebuilder:printcolumn:name="Held",type=integer,JSONPath=`.status.objects.held`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.objects.pending`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.objects.failed`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.agentVersion`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Last Seen",type=date,priority=1,JSONPath=`.status.lastSeenTime`
// +kubebuilder:printcolumn:name="Certificate Expires",type=string,priority=1,JSONPath=`.status.certificates[0].notAfter`
// +kubebuilder:printcolumn:name="Replica",type=string,priority=1,JSONPath=`.status.session.replica`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Synced")].message`
type EdgeNode struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// +optional
	Spec EdgeNodeSpec `json:"spec,omitzero"`
	// +optional
	Status EdgeNodeStatus `json:"status,omitzero"`
}

// EdgeNodeList is a list of EdgeNode.
//
// +kubebuilder:object:root=true
type EdgeNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []EdgeNode `json:"items"`
}
