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

package main

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func condition(name string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: name, Status: status, Reason: reason, Message: message, LastTransitionTime: ago(90 * time.Second)}
}

// edgeNode is a node in the region eu that is connected and in sync.
func edgeNode(name string, change ...func(*syncv1alpha1.EdgeNode)) *syncv1alpha1.EdgeNode {
	node := &syncv1alpha1.EdgeNode{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"region": "eu"}},
		Status: syncv1alpha1.EdgeNodeStatus{
			AgentVersion: "v0.2.0",
			Session: &syncv1alpha1.EdgeNodeSession{
				ID: "s-" + name, Replica: "manager-0", ConnectedTime: ago(5 * time.Minute), RemoteAddress: "192.0.2.7:41000",
			},
			Objects: syncv1alpha1.ObjectCounts{Desired: 12, Held: 12},
			Conditions: []metav1.Condition{
				condition(syncv1alpha1.ConditionConnected, metav1.ConditionTrue, syncv1alpha1.ReasonConnected, "The node has a session."),
				condition(syncv1alpha1.ConditionSynced, metav1.ConditionTrue, syncv1alpha1.ReasonSynced, "All is well."),
			},
		},
	}
	for _, c := range change {
		c(node)
	}
	return node
}

func offline(node *syncv1alpha1.EdgeNode) {
	seen := ago(3 * time.Hour)
	node.Status.Session, node.Status.LastSeenTime = nil, &seen
	node.Status.Objects = syncv1alpha1.ObjectCounts{Desired: 12, Held: 9, Pending: 3}
	node.Status.Conditions = []metav1.Condition{
		condition(syncv1alpha1.ConditionConnected, metav1.ConditionFalse, syncv1alpha1.ReasonDisconnected, "The last session of the node has ended."),
		condition(syncv1alpha1.ConditionSynced, metav1.ConditionUnknown, syncv1alpha1.ReasonOffline, "The node is away."),
	}
}

func neverConnected(node *syncv1alpha1.EdgeNode) {
	offline(node)
	node.Status.LastSeenTime, node.Status.AgentVersion = nil, ""
	node.Status.Objects = syncv1alpha1.ObjectCounts{}
	node.Status.Conditions[0].Reason = syncv1alpha1.ReasonNeverConnected
}

func revoked(node *syncv1alpha1.EdgeNode) {
	offline(node)
	node.Spec.Revoked = true
	node.Status.Conditions[0].Reason, node.Status.Conditions[1].Reason = syncv1alpha1.ReasonRevoked, syncv1alpha1.ReasonRevoked
}

func heldBack(count int32) func(*syncv1alpha1.EdgeNode) {
	return func(node *syncv1alpha1.EdgeNode) {
		node.Status.Objects.HeldBack = count
		node.Status.Conditions[1] = condition(syncv1alpha1.ConditionSynced, metav1.ConditionFalse, syncv1alpha1.ReasonDeletesHeldBack,
			"One change would delete most of what the node holds, so these deletions wait. Approve them with: "+
				"kubectl annotate edgenode "+node.Name+" --overwrite sync.edgesync.io/approve-deletes=3f9a0c21")
	}
}

// objectSync delivers the ConfigMap settings of the namespace shop to the region eu.
func objectSync(change ...func(*syncv1alpha1.ObjectSync)) *syncv1alpha1.ObjectSync {
	s := &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "settings", UID: "uid-sync", Generation: 1},
		Spec: syncv1alpha1.SyncSpec{
			ObjectRef:    &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: "settings"},
			NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"region": "eu"}},
		},
		Status: syncv1alpha1.SyncStatus{
			ObservedGeneration: 1, Objects: 1, ObjectResourceVersion: "4712",
			Desired: 100, Synced: 91, Offline: 9,
			Conditions: []metav1.Condition{condition(syncv1alpha1.ConditionSynced, metav1.ConditionTrue, syncv1alpha1.ReasonSynced,
				"Every connected node has stored and applied the objects.")},
		},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func progressing(s *syncv1alpha1.ObjectSync) {
	s.Status.Synced, s.Status.Pending = 40, 51
	s.Status.Conditions[0] = condition(syncv1alpha1.ConditionSynced, metav1.ConditionFalse, syncv1alpha1.ReasonProgressing,
		"At least one connected node has still to store, apply or remove an object.")
}

func failing(s *syncv1alpha1.ObjectSync) {
	s.Status.Synced, s.Status.Pending, s.Status.Failed = 40, 50, 1
	s.Status.Failures = []syncv1alpha1.SyncFailure{{
		Node: "edge-1", Object: "v1/ConfigMap/settings", Reason: syncv1alpha1.FailureApplyFailed, Message: "no space left on device", Since: ago(time.Minute),
	}}
	s.Status.Conditions[0] = condition(syncv1alpha1.ConditionSynced, metav1.ConditionFalse, syncv1alpha1.ReasonFailed,
		"At least one connected node refused or failed to apply an object: see status.failures.")
}

func rollingOut(s *syncv1alpha1.ObjectSync) {
	progressing(s)
	limit := intstr.FromString("5%")
	s.Spec.Rollout = &syncv1alpha1.Rollout{MaxInProgress: &limit}
	s.Status.Rollout = &syncv1alpha1.RolloutStatus{Revision: "9c1d", Released: 42, Waiting: 58}
	s.Status.Conditions[0].Reason = syncv1alpha1.ReasonRollingOut
	s.Status.Conditions[0].Message = "Connected nodes wait for their turn in the rollout."
}

func rolloutPaused(s *syncv1alpha1.ObjectSync) {
	failing(s)
	failed := s.Status.Conditions[0]
	rollingOut(s)
	s.Status.Failed, s.Status.Pending = 1, 50
	failed.Reason, failed.Message = syncv1alpha1.ReasonRolloutPaused, "1 node failed, so the others keep what they hold."
	s.Status.Rollout.Paused = true
	stalled := failed
	stalled.Type, stalled.Status = syncv1alpha1.ConditionStalled, metav1.ConditionTrue
	s.Status.Conditions = []metav1.Condition{failed, stalled}
}

func suspended(s *syncv1alpha1.ObjectSync) { s.Spec.Suspend = true }

func stalled(s *syncv1alpha1.ObjectSync) {
	s.Status.Conditions = append(s.Status.Conditions, condition(syncv1alpha1.ConditionStalled, metav1.ConditionTrue,
		syncv1alpha1.ReasonForbidden, "The manager may not list configmaps: apply this manifest."))
}

func selecting(labels map[string]string) func(*syncv1alpha1.ObjectSync) {
	return func(s *syncv1alpha1.ObjectSync) {
		s.Spec.ObjectRef = nil
		s.Spec.ObjectSelector = &syncv1alpha1.ObjectSelector{APIVersion: "v1", Kind: "ConfigMap",
			LabelSelector: metav1.LabelSelector{MatchLabels: labels}}
	}
}

func named(name string) func(*syncv1alpha1.ObjectSync) {
	return func(s *syncv1alpha1.ObjectSync) { s.Name, s.UID = name, types.UID("uid-"+name) }
}

func toRegion(region string) func(*syncv1alpha1.ObjectSync) {
	return func(s *syncv1alpha1.ObjectSync) {
		s.Spec.NodeSelector.MatchLabels = map[string]string{"region": region}
	}
}

func toNode(name string) func(*syncv1alpha1.ObjectSync) {
	return func(s *syncv1alpha1.ObjectSync) { s.Spec.NodeSelector, s.Spec.NodeName = nil, name }
}

// configMap stands for one, with the kind that the test server serves.
func configMap(name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID("uid-" + name), ResourceVersion: "4712", Labels: labels,
	}}
}

func versioned(n int) *queryv1alpha1.ObjectVersion {
	return &queryv1alpha1.ObjectVersion{UID: "uid-settings", ResourceVersion: strconv.Itoa(n), Digest: "d" + strconv.Itoa(n)}
}

func micro(d time.Duration) *metav1.MicroTime {
	t := metav1.NewMicroTime(now.Add(-d))
	return &t
}

// entryIn is the ConfigMap settings on a node, in a state.
func entryIn(state queryv1alpha1.State, change ...func(*queryv1alpha1.InventoryObject)) queryv1alpha1.InventoryObject {
	o := queryv1alpha1.InventoryObject{
		Kind: "ConfigMap", Namespace: "shop", Name: "settings", State: state,
		Desired: versioned(4712), Held: versioned(4711), Sources: []string{"shop/settings"},
	}
	for _, c := range change {
		c(&o)
	}
	return o
}

func failedWith(reason string) func(*queryv1alpha1.InventoryObject) {
	return func(o *queryv1alpha1.InventoryObject) {
		o.Failure = &queryv1alpha1.InventoryFailure{Reason: reason, Message: "as the node says", Since: ago(time.Minute)}
	}
}

func undesired(o *queryv1alpha1.InventoryObject) { o.Desired, o.Sources = nil, nil }
func unheld(o *queryv1alpha1.InventoryObject)    { o.Held = nil }
func called(name string) func(*queryv1alpha1.InventoryObject) {
	return func(o *queryv1alpha1.InventoryObject) { o.Name = name }
}

func inventoryOf(objects ...queryv1alpha1.InventoryObject) *queryv1alpha1.NodeInventory {
	return &queryv1alpha1.NodeInventory{
		TypeMeta:   metav1.TypeMeta{APIVersion: queryv1alpha1.GroupVersion.String(), Kind: "NodeInventory"},
		ObjectMeta: metav1.ObjectMeta{Name: "edge-1"},
		Session:    "s-edge-1", Replica: "manager-0", ConnectedTime: ago(5 * time.Minute), Total: 12, Objects: objects,
	}
}
