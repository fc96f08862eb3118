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
	"testing"

	. "github.com/onsi/gomega"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
)

func TestNodesOfAllReplicasAreCounted(t *testing.T) {
	t.Parallel()
	here := func(worst delivery.Progress) nodeProgress { return nodeProgress{connected: true, worst: worst} }
	at := func(replica string) nodeProgress { return nodeProgress{elsewhere: replica} }
	away := nodeProgress{}
	part := func(name, revision string, connected, synced, failed int32) syncv1alpha1.ReplicaSyncStatus {
		return syncv1alpha1.ReplicaSyncStatus{
			Name: name, ObservedGeneration: 2, Revision: revision, Connected: connected, Synced: synced, Failed: failed,
		}
	}
	for name, c := range map[string]struct {
		nodes []nodeProgress
		parts []syncv1alpha1.ReplicaSyncStatus
		want  tally
	}{
		"none": {nodes: []nodeProgress{away, away}},
		"own": {
			nodes: []nodeProgress{here(delivery.InSync), here(delivery.InProgress), here(delivery.Failing), away},
			want:  tally{connected: 3, synced: 1, failed: 1},
		},
		"own and those of a part": {
			nodes: []nodeProgress{here(delivery.InSync), at("b"), at("b"), away},
			parts: []syncv1alpha1.ReplicaSyncStatus{part("b", "r", 2, 1, 1)},
			want:  tally{connected: 3, synced: 2, failed: 1},
		},
		"of a part about another revision": {
			nodes: []nodeProgress{here(delivery.InSync), at("b")},
			parts: []syncv1alpha1.ReplicaSyncStatus{part("b", "former", 1, 1, 0)},
			want:  tally{connected: 2, synced: 1},
		},
		"that no part tells of yet": {
			nodes: []nodeProgress{here(delivery.InSync), at("b"), at("c"), away},
			parts: []syncv1alpha1.ReplicaSyncStatus{part("c", "r", 1, 1, 0)},
			want:  tally{connected: 3, synced: 2},
		},
		"that a part tells of before their status does": {
			nodes: []nodeProgress{here(delivery.InSync), away, away},
			parts: []syncv1alpha1.ReplicaSyncStatus{part("b", "r", 2, 2, 0)},
			want:  tally{connected: 3, synced: 3},
		},
		"twice, after it has moved": {
			nodes: []nodeProgress{here(delivery.InSync), here(delivery.InSync)},
			parts: []syncv1alpha1.ReplicaSyncStatus{part("b", "r", 1, 0, 1)},
			want:  tally{connected: 2, synced: 1, failed: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &syncObservation{generation: 2, revision: "r", listed: true, spec: &syncv1alpha1.SyncSpec{}, nodes: c.nodes, parts: c.parts}
			NewWithT(t).Expect(o.allNodes()).To(Equal(c.want))
		})
	}
}

func TestPartOfAReplica(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o := &syncObservation{
		generation: 2, revision: "r", through: "00/b", listed: true, spec: &syncv1alpha1.SyncSpec{ObjectRef: &syncv1alpha1.ObjectReference{APIVersion: "v1"}},
		nodes: []nodeProgress{{name: "away"}},
	}
	g.Expect(partOf("b", nil, o)).To(BeNil(), "there is nothing to tell")
	o.removing, o.heldBack = 1, true
	g.Expect(partOf("b", nil, o)).To(Equal(&syncv1alpha1.ReplicaSyncStatus{
		Name: "b", ObservedGeneration: 2, Revision: "r", Through: "00/b", Removing: 1, HeldBack: true,
	}))
	o.nodes = append(o.nodes, nodeProgress{name: "done", connected: true}, nodeProgress{name: "waits", connected: true, waiting: true, worst: delivery.Waiting},
		nodeProgress{name: "fails", connected: true, worst: delivery.Failing, failures: []delivery.Failure{{Reason: delivery.FailedToApply}}})
	part := partOf("b", nil, o)
	g.Expect([]int32{part.Connected, part.Synced, part.Failed, part.Waiting}).To(Equal([]int32{3, 1, 1, 1}))
	g.Expect(part.Failures).To(ConsistOf(HaveField("Node", "fails")))
}

func TestFailuresAreMerged(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	failure := func(node, object, message string) syncv1alpha1.SyncFailure {
		return syncv1alpha1.SyncFailure{Node: node, Object: object, Message: message}
	}
	g.Expect(mergeFailures()).To(BeEmpty())
	g.Expect(mergeFailures(
		[]syncv1alpha1.SyncFailure{failure("b", "x", "own"), failure("a", "y", "")},
		[]syncv1alpha1.SyncFailure{failure("b", "x", "of another"), failure("a", "x", "")},
	)).To(Equal([]syncv1alpha1.SyncFailure{failure("a", "x", ""), failure("a", "y", ""), failure("b", "x", "own")}))
	var many []syncv1alpha1.SyncFailure
	for range 2 * maxFailures {
		many = append(many, failure("c", string(rune('a'+len(many))), ""))
	}
	g.Expect(mergeFailures(many, []syncv1alpha1.SyncFailure{failure("a", "x", "")})).To(And(HaveLen(maxFailures), HaveEach(Not(HaveField("Object", "k")))))
}

func TestPartsThatDifferOnlyInConnections(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	part := func(change func(*syncv1alpha1.ReplicaSyncStatus)) *syncv1alpha1.ReplicaSyncStatus {
		p := &syncv1alpha1.ReplicaSyncStatus{Name: "b", ObservedGeneration: 2, Revision: "r", Through: "00/b", Connected: 2, Synced: 1, Waiting: 1}
		change(p)
		return p
	}
	same := part(func(*syncv1alpha1.ReplicaSyncStatus) {})
	left := part(func(p *syncv1alpha1.ReplicaSyncStatus) { p.Connected, p.Synced = 1, 0 })
	g.Expect(partsDifferOnlyInConnections(same, left)).To(BeTrue())
	g.Expect(partsDifferOnlyInConnections(same, nil)).To(BeTrue())
	g.Expect(partsDifferOnlyInConnections(nil, same)).To(BeTrue())
	for name, change := range map[string]func(*syncv1alpha1.ReplicaSyncStatus){
		"a node is done": func(p *syncv1alpha1.ReplicaSyncStatus) { p.Synced = 2 },
		"fails":          func(p *syncv1alpha1.ReplicaSyncStatus) { p.Connected, p.Failed = 1, 1 },
		"revision":       func(p *syncv1alpha1.ReplicaSyncStatus) { p.Connected, p.Revision = 1, "s" },
		"generation":     func(p *syncv1alpha1.ReplicaSyncStatus) { p.Connected, p.ObservedGeneration = 1, 3 },
		"through":        func(p *syncv1alpha1.ReplicaSyncStatus) { p.Connected, p.Through = 1, "~" },
		"removing":       func(p *syncv1alpha1.ReplicaSyncStatus) { p.Connected, p.Removing = 1, 1 },
	} {
		g.Expect(partsDifferOnlyInConnections(same, part(change))).To(BeFalse(), name)
	}
	failing := part(func(p *syncv1alpha1.ReplicaSyncStatus) { p.Failed = 1 })
	g.Expect(partsDifferOnlyInConnections(failing, nil)).To(BeFalse(), "the failure is gone as well")
}
