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
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/watch"
)

func refSpec() *syncv1alpha1.SyncSpec {
	return &syncv1alpha1.SyncSpec{
		ObjectRef:    &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: "settings"},
		NodeSelector: &metav1.LabelSelector{},
	}
}

func selectorSpec() *syncv1alpha1.SyncSpec {
	return &syncv1alpha1.SyncSpec{
		ObjectSelector: &syncv1alpha1.ObjectSelector{APIVersion: "v1", Kind: "ConfigMap"}, NodeName: "edge-1",
	}
}

func suspendedSpec() *syncv1alpha1.SyncSpec {
	spec := refSpec()
	spec.Suspend = true
	return spec
}

func online(name string, worst delivery.Progress) nodeProgress {
	return nodeProgress{name: name, connected: true, worst: worst}
}

func TestSyncStatusConditions(t *testing.T) {
	t.Parallel()
	synced, away := online("a", delivery.InSync), nodeProgress{name: "z", worst: delivery.InProgress}
	problem := &watch.Problem{Reason: syncv1alpha1.ReasonForbidden, Message: "Allow it."}
	for name, test := range map[string]struct {
		o       syncObservation
		status  metav1.ConditionStatus
		reason  string
		message string
		stalled string
		counts  [5]int32 // desired, synced, pending, failed, offline
	}{
		"all nodes have it": {
			o:      syncObservation{spec: refSpec(), listed: true, objects: 1, nodes: []nodeProgress{synced, online("b", delivery.InSync)}},
			status: metav1.ConditionTrue, reason: syncv1alpha1.ReasonSynced, counts: [5]int32{2, 2, 0, 0, 0},
		},
		"nodes that are away do not count": {
			o:      syncObservation{spec: refSpec(), listed: true, objects: 1, nodes: []nodeProgress{synced, away}},
			status: metav1.ConditionTrue, reason: syncv1alpha1.ReasonSynced, counts: [5]int32{2, 1, 0, 0, 1},
		},
		"all nodes are away": {
			o:      syncObservation{spec: refSpec(), listed: true, objects: 1, nodes: []nodeProgress{away}},
			status: metav1.ConditionUnknown, reason: syncv1alpha1.ReasonOffline, counts: [5]int32{1, 0, 0, 0, 1},
		},
		"one node is on the way": {
			o:      syncObservation{spec: refSpec(), listed: true, objects: 1, nodes: []nodeProgress{synced, online("b", delivery.InProgress), away}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonProgressing, counts: [5]int32{3, 1, 1, 0, 1},
		},
		"one node fails": {
			o:      syncObservation{spec: refSpec(), listed: true, objects: 1, nodes: []nodeProgress{online("a", delivery.InProgress), online("b", delivery.Failing)}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonFailed, message: "see status.failures", counts: [5]int32{2, 0, 1, 1, 0},
		},
		"no such object": {
			o:      syncObservation{spec: refSpec(), listed: true, nodes: []nodeProgress{synced}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonNoObjects, message: `The ConfigMap "settings" does not exist.`, counts: [5]int32{1, 1, 0, 0, 0},
		},
		"no object matches": {
			o:      syncObservation{spec: selectorSpec(), listed: true, nodes: []nodeProgress{away}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonNoObjects, message: "No ConfigMap matches", counts: [5]int32{1, 0, 0, 0, 1},
		},
		"the object is being removed": {
			o:      syncObservation{spec: refSpec(), listed: true, nodes: []nodeProgress{online("a", delivery.InProgress)}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonProgressing, counts: [5]int32{1, 0, 1, 0, 0},
		},
		"no node matches": {
			o:      syncObservation{spec: refSpec(), listed: true, objects: 1},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonNoNodes, message: "No EdgeNode matches spec.nodeSelector.",
		},
		"no such node": {
			o:      syncObservation{spec: selectorSpec(), listed: true, objects: 1},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonNoNodes, message: `The EdgeNode "edge-1" does not exist, or is revoked.`,
		},
		"the kind is being listed": {
			o:      syncObservation{spec: refSpec(), nodes: []nodeProgress{synced}},
			status: metav1.ConditionUnknown, reason: syncv1alpha1.ReasonProgressing, counts: [5]int32{1, 0, 1, 0, 0},
		},
		"the kind cannot be listed": {
			o:      syncObservation{spec: refSpec(), problem: problem, nodes: []nodeProgress{synced}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonForbidden, message: "Allow it.", stalled: syncv1alpha1.ReasonForbidden, counts: [5]int32{1, 0, 1, 0, 0},
		},
		"the kind can no longer be listed": {
			o:      syncObservation{spec: refSpec(), listed: true, problem: problem, objects: 1, nodes: []nodeProgress{synced, away}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonForbidden, message: "Allow it.", stalled: syncv1alpha1.ReasonForbidden, counts: [5]int32{2, 0, 1, 0, 1},
		},
		"suspended": {
			o:      syncObservation{spec: suspendedSpec(), listed: true, objects: 1, nodes: []nodeProgress{synced}},
			status: metav1.ConditionUnknown, reason: syncv1alpha1.ReasonSuspended, counts: [5]int32{1, 0, 1, 0, 0},
		},
		"deletions wait": {
			o:      syncObservation{spec: refSpec(), listed: true, objects: 1, heldBack: true, approve: "kubectl approve", nodes: []nodeProgress{online("a", delivery.HeldBack)}},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonDeletesHeldBack, message: "kubectl approve", stalled: syncv1alpha1.ReasonDeletesHeldBack, counts: [5]int32{1, 0, 1, 0, 0},
		},
		"being deleted": {
			o:      syncObservation{spec: refSpec(), listed: true, deleting: true},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonDeleting,
		},
		"being deleted, and deletions wait": {
			o:      syncObservation{spec: refSpec(), listed: true, deleting: true, heldBack: true},
			status: metav1.ConditionFalse, reason: syncv1alpha1.ReasonDeletesHeldBack, stalled: syncv1alpha1.ReasonDeletesHeldBack,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			test.o.generation = 7
			status := syncStatus(&syncv1alpha1.SyncStatus{}, &test.o)
			condition := apimeta.FindStatusCondition(status.Conditions, syncv1alpha1.ConditionSynced)
			g.Expect(condition.Status).To(Equal(test.status))
			g.Expect(condition.Reason).To(Equal(test.reason))
			g.Expect(condition.Message).To(ContainSubstring(test.message))
			g.Expect(condition.ObservedGeneration).To(BeEquivalentTo(7))
			stalled := apimeta.FindStatusCondition(status.Conditions, syncv1alpha1.ConditionStalled)
			if test.stalled == "" {
				g.Expect(stalled).To(BeNil())
			} else {
				g.Expect(stalled.Status).To(Equal(metav1.ConditionTrue))
				g.Expect(stalled.Reason).To(Equal(test.stalled))
			}
			g.Expect([5]int32{status.Desired, status.Synced, status.Pending, status.Failed, status.Offline}).To(Equal(test.counts))

			g.Expect(syncStatus(status, &test.o)).To(Equal(status), "what has not changed is not written again")
		})
	}
}

func failure(kind, name string, reason delivery.Reason, since time.Time) delivery.Failure {
	return delivery.Failure{
		Key: object.Key{Kind: kind, Namespace: "shop", Name: name}, Ref: "unused", Reason: reason, Message: "why", Since: since,
	}
}

func TestSyncStatusFailures(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	first, later := time.Unix(1000, 0), time.Unix(2000, 0)
	o := &syncObservation{spec: refSpec(), listed: true, objects: 1}
	for i := range 8 {
		node := online(fmt.Sprintf("node-%d", i), delivery.Failing)
		node.failures = []delivery.Failure{
			failure("ConfigMap", "b", delivery.FailedToApply, first), failure("ConfigMap", "a", delivery.FailedRejected, first),
		}
		o.nodes = append(o.nodes, node)
	}
	status := syncStatus(&syncv1alpha1.SyncStatus{}, o)
	g.Expect(status.Failures).To(HaveLen(maxFailures))
	g.Expect(status.Failures[0]).To(Equal(syncv1alpha1.SyncFailure{
		Node: "node-0", Object: "v1/ConfigMap/a", Reason: syncv1alpha1.FailureRejected, Message: "why", Since: metav1.NewTime(first),
	}))
	g.Expect(status.Failures[1].Object).To(Equal("v1/ConfigMap/b"))
	g.Expect(status.Failures[9].Node).To(Equal("node-4"))

	// The same failure after a reconnect keeps its time; another one has its own.
	o.nodes[0].failures = []delivery.Failure{
		failure("ConfigMap", "b", delivery.FailedToApply, later), failure("ConfigMap", "a", delivery.FailedTooLarge, later),
	}
	status = syncStatus(status, o)
	g.Expect(status.Failures[0].Since).To(Equal(metav1.NewTime(later)))
	g.Expect(status.Failures[1].Since).To(Equal(metav1.NewTime(first)))

	// Nobody knows of the failures of a node that is away.
	for i := range o.nodes {
		o.nodes[i].connected = false
	}
	g.Expect(syncStatus(status, o).Failures).To(BeEmpty())
}

func TestSyncEvents(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := &syncObservation{generation: 1, spec: refSpec(), listed: true, objects: 1, nodes: []nodeProgress{online("a", delivery.InSync)}}
	memory := &syncMemory{}
	none := &syncv1alpha1.SyncStatus{}
	synced := syncStatus(none, o)
	reasons := func(before, after *syncv1alpha1.SyncStatus) (reasons []string) {
		for _, e := range syncEvents(before, after, memory) {
			reasons = append(reasons, e.kind+" "+e.reason)
		}
		return reasons
	}
	g.Expect(reasons(none, synced)).To(Equal([]string{"Normal Synced"}))
	memory.syncedGeneration = 1
	g.Expect(reasons(none, synced)).To(BeEmpty(), "each update of an object is not worth an Event")

	o.problem = &watch.Problem{Reason: syncv1alpha1.ReasonKindUnknown}
	stalled := syncStatus(synced, o)
	g.Expect(reasons(synced, stalled)).To(Equal([]string{"Warning KindUnknown"}))
	g.Expect(reasons(stalled, stalled)).To(BeEmpty())

	o.problem, o.nodes[0].worst = nil, delivery.Failing
	o.nodes[0].failures = []delivery.Failure{failure("ConfigMap", "a", delivery.FailedTooLarge, time.Unix(1, 0))}
	failed := syncStatus(synced, o)
	g.Expect(reasons(synced, failed)).To(Equal([]string{"Warning TooLarge"}))
	g.Expect(reasons(failed, failed)).To(BeEmpty())
}

func TestMustWait(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return time.Unix(1000, 0).Add(time.Duration(seconds) * time.Second) }
	for name, test := range map[string]struct {
		d    deletion
		want bool
	}{
		"nothing left":                         {d: deletion{now: at(0), deleted: at(0)}},
		"removing":                             {d: deletion{now: at(29), deleted: at(0), removing: true}, want: true},
		"removing for too long":                {d: deletion{now: at(30), deleted: at(0), removing: true}},
		"removing since the manager restarted": {d: deletion{now: at(120), deleted: at(0), started: at(100), removing: true}, want: true},
		"held back for very long":              {d: deletion{now: at(99999), deleted: at(0), removing: true, heldBack: true}, want: true},
		"approved after long":                  {d: deletion{now: at(1010), deleted: at(0), heldBackAt: at(1000), removing: true}, want: true},
		"approved long ago":                    {d: deletion{now: at(1030), deleted: at(0), heldBackAt: at(1000), removing: true}},
		"offline":                              {d: deletion{now: at(11), deleted: at(11), offline: true}},
		"offline right after the start":        {d: deletion{now: at(9), deleted: at(0), offline: true}, want: true},
		"offline right after a replica died":   {d: deletion{now: at(109), deleted: at(0), unrest: at(100), offline: true}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.d.started.IsZero() {
				test.d.started = at(0)
			}
			test.d.unrest = latest(test.d.started, test.d.unrest)
			NewWithT(t).Expect(mustWait(test.d, defaultTiming)).To(Equal(test.want))
		})
	}
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	short := "why"
	g.Expect(truncate(short)).To(Equal(short))
	long := ""
	for len(long) <= maxText {
		long += "größe "
	}
	cut := truncate(long)
	g.Expect(len(cut)).To(And(BeNumerically("<=", maxText), BeNumerically(">", maxText-10)))
	g.Expect(cut).To(HaveSuffix("…"))
	g.Expect([]rune(cut)).NotTo(ContainElement('\uFFFD'))
}

func TestSyncStatusDiffersOnlyInConnections(t *testing.T) {
	t.Parallel()
	status := func(objectVersion string, nodes ...nodeProgress) *syncv1alpha1.SyncStatus {
		return syncStatus(&syncv1alpha1.SyncStatus{}, &syncObservation{
			spec: refSpec(), listed: true, objects: 1, objectVersion: objectVersion, nodes: nodes,
		})
	}
	a, b := online("a", delivery.InSync), online("b", delivery.InSync)
	busy, failing := online("b", delivery.InProgress), online("b", delivery.Failing)
	awayA, away := nodeProgress{name: "a"}, nodeProgress{name: "b"}
	for name, test := range map[string]struct {
		before, after *syncv1alpha1.SyncStatus
		want          bool
	}{
		"a node goes":                  {status("1", a, b), status("1", a, away), true},
		"a node comes":                 {status("1", a, away), status("1", a, b), true},
		"a node comes and is not done": {status("1", a, away), status("1", a, busy), true},
		"the last node goes":           {status("1", a, away), status("1", awayA, away), true},
		"a node is done":               {status("1", a, busy), status("1", a, b), false},
		"a node comes and fails":       {status("1", a, away), status("1", a, failing), false},
		"a node is new":                {status("1", a), status("1", a, away), false},
		"the object is new":            {status("1", a, b), status("2", a, away), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			NewWithT(t).Expect(differsOnlyInConnections(test.before, test.after)).To(Equal(test.want))
		})
	}
}
