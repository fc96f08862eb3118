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
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/object"
)

// asked is a question about the ConfigMap settings on edge-1, which exists, and which
// nothing wants on the node; the manager says that it does not hold it.
func asked(change ...func(*question)) *question {
	q := &question{
		node:      edgeNode("edge-1"),
		key:       object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "settings"},
		object:    metadataOf("settings", map[string]string{"app": "till"}),
		inventory: inventoryOf(),
		now:       now,
	}
	for _, c := range change {
		c(q)
	}
	return q
}

func metadataOf(name string, labels map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels, ResourceVersion: "4712"}}
}

func withSync(change ...func(*syncv1alpha1.ObjectSync)) func(*question) {
	return func(q *question) { q.syncs = append(q.syncs, asSync(objectSync(change...))) }
}

func withNode(change ...func(*syncv1alpha1.EdgeNode)) func(*question) {
	return func(q *question) { q.node = edgeNode("edge-1", change...) }
}

func withEntry(state queryv1alpha1.State, change ...func(*queryv1alpha1.InventoryObject)) func(*question) {
	return func(q *question) { q.inventory = inventoryOf(entryIn(state, change...)) }
}

func withoutObject(q *question) { q.object = nil }

func withoutInventory(q *question) {
	q.inventory, q.inventoryErr = nil, errors.New("no manager answers")
}

func deleting(s *syncv1alpha1.ObjectSync) {
	at := ago(time.Minute)
	s.DeletionTimestamp = &at
}

func sentAgo(d time.Duration) func(*queryv1alpha1.InventoryObject) {
	return func(o *queryv1alpha1.InventoryObject) { o.SentTime = micro(d) }
}

func TestSentences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		q    *question
		want string
	}{
		"synced": {asked(withEntry(queryv1alpha1.StateSynced)),
			"edge-1 holds ConfigMap shop/settings as it should, and has applied it."},
		"queued, new": {asked(withEntry(queryv1alpha1.StateQueued, unheld)),
			"ConfigMap shop/settings is about to be sent to edge-1, which does not hold it yet."},
		"queued, changed": {asked(withEntry(queryv1alpha1.StateQueued)),
			"ConfigMap shop/settings is about to be sent to edge-1, which holds another version."},
		"queued, gone": {asked(withEntry(queryv1alpha1.StateQueued, undesired)),
			"The deletion of ConfigMap shop/settings is about to be sent to edge-1, which still holds it."},
		"queued, after a failure": {asked(withEntry(queryv1alpha1.StateQueued, failedWith(syncv1alpha1.FailureStoreFailed))),
			"ConfigMap shop/settings is about to be sent to edge-1, which holds another version; the last try failed (StoreFailed: as the node says)."},
		"sent": {asked(withEntry(queryv1alpha1.StateSent, sentAgo(3*time.Second))),
			"ConfigMap shop/settings was sent to edge-1 3s ago, and the node has not answered yet."},
		"sent, at a time that is not known": {asked(withEntry(queryv1alpha1.StateSent)),
			"ConfigMap shop/settings was sent to edge-1, and the node has not answered yet."},
		"deletion sent": {asked(withEntry(queryv1alpha1.StateSent, undesired, sentAgo(time.Minute))),
			"The deletion of ConfigMap shop/settings was sent to edge-1 60s ago, and the node has not answered yet."},
		"persisted": {asked(withEntry(queryv1alpha1.StatePersisted)),
			"edge-1 has stored ConfigMap shop/settings, and has not applied it yet."},
		"progressing": {asked(withEntry(queryv1alpha1.StateProgressing)),
			"edge-1 has applied ConfigMap shop/settings, and it is not healthy there yet."},
		"removing": {asked(withEntry(queryv1alpha1.StateRemoving, undesired)),
			"edge-1 should no longer have ConfigMap shop/settings, and is still taking it away where it was applied."},
		"held back": {asked(withEntry(queryv1alpha1.StateHeldBack, undesired)),
			"edge-1 keeps ConfigMap shop/settings, which nothing wants there any longer, since one change would delete most of what the node holds; " +
				"see what, and approve it, with: kubectl edgesync approve-deletes edge-1."},
		"a state of a later version": {asked(withEntry("Lost")),
			"ConfigMap shop/settings on edge-1 is in the state Lost, which this version of the plugin does not know."},

		"node suspended": {asked(withEntry(queryv1alpha1.StateFrozen), withNode(func(n *syncv1alpha1.EdgeNode) { n.Spec.Suspend = true })),
			"edge-1 keeps what it holds of ConfigMap shop/settings, since the node is suspended; " +
				"go on with: kubectl patch edgenode edge-1 --type=merge -p '{\"spec\":{\"suspend\":false}}'."},
		"sync suspended": {asked(withEntry(queryv1alpha1.StateFrozen), withSync(suspended)),
			"edge-1 keeps what it holds of ConfigMap shop/settings, since objectsync shop/settings is suspended; " +
				"go on with: kubectl edgesync rollout resume settings -n shop."},
		"sync suspended, not held": {asked(withEntry(queryv1alpha1.StateFrozen, unheld), withSync(suspended)),
			"edge-1 does not get ConfigMap shop/settings, since objectsync shop/settings is suspended; " +
				"go on with: kubectl edgesync rollout resume settings -n shop."},
		"kind not listed": {asked(withEntry(queryv1alpha1.StateFrozen), withSync(stalled)),
			"edge-1 keeps what it holds of ConfigMap shop/settings, since objectsync shop/settings is stalled (Forbidden): " +
				"The manager may not list configmaps: apply this manifest."},
		"frozen, not known why": {asked(withEntry(queryv1alpha1.StateFrozen), withSync()),
			"edge-1 keeps what it holds of ConfigMap shop/settings, since the manager does not know yet what the node should hold of that kind."},

		"waiting for its turn": {asked(withEntry(queryv1alpha1.StateWaiting), withSync(rollingOut)),
			"edge-1 keeps what it holds of ConfigMap shop/settings, since the turn of the node has not come " +
				"in the rollout of objectsync shop/settings: 42/100 nodes have had theirs."},
		"rollout paused": {asked(withEntry(queryv1alpha1.StateWaiting, unheld), withSync(rolloutPaused)),
			"edge-1 does not get ConfigMap shop/settings, since the turn of the node has not come " +
				"in the rollout of objectsync shop/settings, which is paused after 42/100 nodes: " +
				"1 node failed, so the others keep what they hold. Go on with: kubectl edgesync rollout resume settings -n shop."},
		"waiting, not known for what": {asked(withEntry(queryv1alpha1.StateWaiting)),
			"edge-1 keeps what it holds of ConfigMap shop/settings, since the turn of the node has not come."},

		"rejected": {asked(withEntry(queryv1alpha1.StateFailed, failedWith(syncv1alpha1.FailureRejected))),
			"edge-1 refuses ConfigMap shop/settings (as the node says); it is sent again when its content changes."},
		"too large": {asked(withEntry(queryv1alpha1.StateFailed, failedWith(syncv1alpha1.FailureTooLarge))),
			"edge-1 refuses ConfigMap shop/settings, since it is too large (as the node says); make it smaller, or raise maxObjectBytes of the agent."},
		"not stored": {asked(withEntry(queryv1alpha1.StateFailed, failedWith(syncv1alpha1.FailureStoreFailed))),
			"edge-1 cannot store ConfigMap shop/settings (as the node says); it is sent again by itself, once the disk of the machine allows it."},
		"not applied": {asked(withEntry(queryv1alpha1.StateFailed, failedWith(syncv1alpha1.FailureApplyFailed))),
			"edge-1 has stored ConfigMap shop/settings, and fails to apply it (as the node says); the node tries again by itself."},
		"not removed": {asked(withEntry(queryv1alpha1.StateFailed, undesired, failedWith(syncv1alpha1.FailureRemoveFailed))),
			"edge-1 should no longer have ConfigMap shop/settings, and fails to take it away (as the node says); the node tries again by itself."},
		"failed for a reason of a later version": {asked(withEntry(queryv1alpha1.StateFailed, failedWith("Cursed"))),
			"edge-1 fails with ConfigMap shop/settings (Cursed: as the node says)."},
		"failed without a reason": {asked(withEntry(queryv1alpha1.StateFailed)),
			"edge-1 failed with ConfigMap shop/settings, and the manager does not say why."},

		"no sync": {asked(),
			"No ObjectSync in the namespace shop names or selects ConfigMap shop/settings, so it belongs on no node."},
		"no cluster sync": {asked(func(q *question) { q.key = object.Key{Group: "apps", Kind: "Gizmo", Name: "g"} }),
			"No ClusterObjectSync names or selects Gizmo.apps g, so it belongs on no node."},
		"a sync of another kind": {asked(withSync(func(s *syncv1alpha1.ObjectSync) { s.Spec.ObjectRef.Kind = "Secret" })),
			"No ObjectSync in the namespace shop names or selects ConfigMap shop/settings, so it belongs on no node."},
		"a sync of another object": {asked(withSync(func(s *syncv1alpha1.ObjectSync) { s.Spec.ObjectRef.Name = "other" })),
			"No ObjectSync in the namespace shop names or selects ConfigMap shop/settings, so it belongs on no node."},
		"no such object": {asked(withSync(), withoutObject),
			"ConfigMap shop/settings does not exist in the cluster, so there is nothing to deliver."},
		"node has another label": {asked(withSync(toRegion("us"))),
			"objectsync shop/settings wants ConfigMap shop/settings, but not on edge-1: its nodeSelector asks for region=us, and the node has region=eu."},
		"node has no such label": {asked(withSync(func(s *syncv1alpha1.ObjectSync) {
			s.Spec.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "region", Operator: metav1.LabelSelectorOpIn, Values: []string{"eu"}},
				{Key: "tier", Operator: metav1.LabelSelectorOpExists}}}
		})),
			"objectsync shop/settings wants ConfigMap shop/settings, but not on edge-1: its nodeSelector asks for tier, and the node has no label tier."},
		"a selector that cannot be parsed": {asked(withSync(func(s *syncv1alpha1.ObjectSync) {
			s.Spec.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "region", Operator: "Near"}}}
		})),
			"objectsync shop/settings wants ConfigMap shop/settings, but not on edge-1: its nodeSelector cannot be parsed: \"Near\" is not a valid label selector operator."},
		"for another node": {asked(withSync(toNode("edge-2"))),
			"objectsync shop/settings wants ConfigMap shop/settings, but not on edge-1: it is for the node edge-2."},
		"none of several": {asked(withSync(toNode("edge-2")), withSync(named("till"), selecting(map[string]string{"app": "web"}))),
			"No sync wants ConfigMap shop/settings on edge-1; the closest is objectsync shop/settings: it is for the node edge-2."},
		"object has another label": {asked(withSync(selecting(map[string]string{"app": "web"}))),
			"objectsync shop/settings is for edge-1, but does not select ConfigMap shop/settings: its objectSelector asks for app=web, and the object has app=till."},
		"object that cannot be read": {asked(withSync(selecting(nil)), func(q *question) { q.object, q.objectErr = nil, errors.New("forbidden") }),
			"objectsync shop/settings is for edge-1, but does not select ConfigMap shop/settings: its labels are not known: forbidden."},
		"neither": {asked(withSync(selecting(map[string]string{"app": "web"}), toNode("edge-2"))),
			"No sync wants ConfigMap shop/settings on edge-1: of those of its kind, none selects the object or the node."},
		"wanted a moment ago": {asked(withSync()),
			"objectsync shop/settings wants ConfigMap shop/settings on edge-1, and the manager has not come to that yet: ask again in a moment."},
		"wanted by a sync that is deleted": {asked(withSync(deleting)),
			"objectsync shop/settings wants ConfigMap shop/settings on edge-1, but is being deleted."},
		"wanted by a sync that is suspended": {asked(withSync(suspended)),
			"objectsync shop/settings wants ConfigMap shop/settings on edge-1, but is suspended; go on with: kubectl edgesync rollout resume settings -n shop."},
		"wanted by a sync that is stalled": {asked(withSync(stalled)),
			"objectsync shop/settings wants ConfigMap shop/settings on edge-1, but is stalled (Forbidden): The manager may not list configmaps: apply this manifest."},

		"revoked": {asked(withSync(), withNode(revoked), withoutInventory),
			"edge-1 is revoked, so the manager refuses it and gives it nothing; allow it again with: " +
				"kubectl patch edgenode edge-1 --type=merge -p '{\"spec\":{\"revoked\":false}}'."},
		"offline": {asked(withSync(), withNode(offline), withoutInventory),
			"edge-1 is offline (last seen 3h ago): it gets ConfigMap shop/settings when it connects, unless it holds it already."},
		"never connected": {asked(withSync(), withNode(neverConnected), withoutInventory),
			"edge-1 is offline (it has never been connected): it gets ConfigMap shop/settings when it connects, unless it holds it already."},
		"offline, and not for it": {asked(withSync(toNode("edge-2")), withNode(offline), withoutInventory),
			"objectsync shop/settings wants ConfigMap shop/settings, but not on edge-1: it is for the node edge-2."},
		"offline, and suspended": {asked(withSync(suspended), withNode(offline), withoutInventory),
			"objectsync shop/settings wants ConfigMap shop/settings on edge-1, but is suspended; go on with: kubectl edgesync rollout resume settings -n shop."},
		"nobody answers": {asked(withSync(), withoutInventory),
			"edge-1 should hold ConfigMap shop/settings, and whether it does is not known: no manager answers."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			NewWithT(t).Expect(test.q.sentence()).To(Equal(test.want))
		})
	}
}

// The syncs that come closest are named first.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	q := asked(
		withSync(named("a"), selecting(map[string]string{"app": "web"}), toNode("edge-2")),
		withSync(named("b"), selecting(map[string]string{"app": "web"})),
		withSync(named("c"), toRegion("us")),
		withSync(named("d"), suspended),
		withSync(named("e"), func(s *syncv1alpha1.ObjectSync) { s.Spec.ObjectRef.Name = "other" }),
	)
	var texts []string
	for _, v := range q.verdicts() {
		texts = append(texts, v.sync.GetName()+" "+v.text)
	}
	g.Expect(texts).To(Equal([]string{
		"d wants it on edge-1, and is suspended",
		"c wants it, but not on edge-1: its nodeSelector asks for region=us, and the node has region=eu",
		"b selects edge-1, but not the object: its objectSelector asks for app=web, and the object has app=till",
		"a selects neither the object nor the node: its objectSelector asks for app=web, and the object has app=till; it is for the node edge-2",
	}))
}
