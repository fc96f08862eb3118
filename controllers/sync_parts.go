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
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/replica"
)

// partsOfOthers are the parts that count: those of other replicas that live.
func (r *syncReconciler) partsOfOthers(parts []syncv1alpha1.ReplicaSyncStatus) []syncv1alpha1.ReplicaSyncStatus {
	return slices.DeleteFunc(slices.Clone(parts), func(part syncv1alpha1.ReplicaSyncStatus) bool {
		return part.Name == r.Replica || !r.Replicas.Alive(part.Name)
	})
}

// current reports whether a part describes what the sync is about now.
func (o *syncObservation) current(part *syncv1alpha1.ReplicaSyncStatus) bool {
	return part.ObservedGeneration == o.generation && part.Revision == o.revision
}

// othersRemove reports whether other replicas still have objects of the sync taken away, or may
// have, since they have not seen that it is deleted.
func (o *syncObservation) othersRemove() bool {
	return slices.ContainsFunc(o.parts, func(part syncv1alpha1.ReplicaSyncStatus) bool {
		return part.ObservedGeneration < o.generation || part.Removing > 0
	})
}

func (o *syncObservation) othersHoldBack() bool {
	return slices.ContainsFunc(o.parts, func(part syncv1alpha1.ReplicaSyncStatus) bool { return part.HeldBack })
}

// tally counts nodes by what has become of them.
type tally struct{ connected, synced, failed, waiting int32 }

// ownNodes counts the nodes that are connected here.
func (o *syncObservation) ownNodes() tally {
	var t tally
	for _, node := range o.nodes {
		if !node.connected {
			continue
		}
		t.connected++
		switch {
		case node.worst == delivery.InSync && o.settled():
			t.synced++
		case node.waiting:
			t.waiting++
		case node.worst == delivery.Failing:
			t.failed++
		}
	}
	return t
}

// settled reports whether it is known what nodes should hold.
func (o *syncObservation) settled() bool { return o.listed && o.problem == nil && !o.spec.Suspend }

// allNodes counts the nodes that are connected to any replica. A node that is counted twice,
// since it has moved from one replica to another, is counted once, as one on its way. So is one that
// has a session with a replica which has not told of it yet.
func (o *syncObservation) allNodes() tally {
	t := o.ownNodes()
	elsewhere := map[string]int32{}
	for _, node := range o.nodes {
		if node.elsewhere != "" {
			elsewhere[node.elsewhere]++
		}
	}
	for i := range o.parts {
		part := &o.parts[i]
		elsewhere[part.Name] = max(elsewhere[part.Name], part.Connected)
		if o.current(part) {
			t.failed += part.Failed
			if o.settled() {
				t.synced += part.Synced
			}
		}
	}
	for _, connected := range elsewhere {
		t.connected += connected
	}
	t.connected = min(t.connected, int32(len(o.nodes)))
	t.failed = min(t.failed, t.connected)
	t.synced = min(t.synced, t.connected-t.failed)
	return t
}

// partOf is what the replica has to say of the nodes that are connected to it; nil if there are none.
func partOf(name string, before []syncv1alpha1.SyncFailure, o *syncObservation) *syncv1alpha1.ReplicaSyncStatus {
	t := o.ownNodes()
	if t.connected == 0 && o.removing == 0 {
		return nil
	}
	return &syncv1alpha1.ReplicaSyncStatus{
		Name: name, ObservedGeneration: o.generation, Revision: o.revision, Through: o.through,
		Connected: t.connected, Synced: t.synced, Failed: t.failed, Waiting: t.waiting,
		Removing: int32(o.removing), HeldBack: o.heldBack,
		Failures: ownFailures(before, o),
	}
}

// mergeFailures are the first failures of several lists by node and object.
func mergeFailures(lists ...[]syncv1alpha1.SyncFailure) []syncv1alpha1.SyncFailure {
	compare := func(a, b syncv1alpha1.SyncFailure) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Object, b.Object))
	}
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, compare)
	all = slices.CompactFunc(all, func(a, b syncv1alpha1.SyncFailure) bool { return compare(a, b) == 0 })
	return all[:min(len(all), maxFailures)]
}

// writePart writes what this replica, which does not lead, has to say, if that has changed, at
// most once an interval.
func (r *syncReconciler) writePart(ctx context.Context, s *syncScope) (ctrl.Result, error) {
	now := time.Now()
	if s.memory.status.unseen(s.sync, now) {
		return ctrl.Result{RequeueAfter: cachePause}, nil
	}
	var before *syncv1alpha1.ReplicaSyncStatus
	if i := slices.IndexFunc(s.sync.status.Replicas, func(part syncv1alpha1.ReplicaSyncStatus) bool { return part.Name == r.Replica }); i >= 0 {
		before = &s.sync.status.Replicas[i]
	}
	var known []syncv1alpha1.SyncFailure
	if before != nil {
		known = before.Failures
	}
	after := partOf(r.Replica, mergeFailures(known, s.sync.status.Failures), s.observation)
	result := ctrl.Result{}
	if s.observation.removing > 0 || s.left.onGoneNodes {
		result.RequeueAfter = r.timing.statusInterval
	}
	if equality.Semantic.DeepEqual(before, after) {
		s.memory.settling = settling{}
		return result, nil
	}
	// The first that is written corrects what a process of the same name has left, or is awaited.
	urgent := s.sync.deleting() || s.memory.writtenAt.IsZero() || !partsDifferOnlyInConnections(before, after)
	if rest := s.memory.rest(now, after, urgent, r.timing); rest > 0 {
		return within(result, rest), nil
	}
	s.memory.writtenAt = now
	if err := r.applyPart(ctx, s, after); err != nil {
		return ctrl.Result{}, fmt.Errorf("write the part of this replica in status: %w", err)
	}
	s.memory.status.written(s.sync, now)
	s.memory.settling = settling{}
	return result, nil
}

// applyPart has status.replicas contain part for this replica, or nothing if it is nil. It
// touches nothing else, and conflicts with nobody.
func (r *syncReconciler) applyPart(ctx context.Context, s *syncScope, part *syncv1alpha1.ReplicaSyncStatus) error {
	status := map[string]any{}
	if part != nil {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(part)
		if err != nil {
			return err
		}
		status["replicas"] = []any{content}
	}
	apply := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	gvk, err := r.client.GroupVersionKindFor(s.sync.Object)
	if err != nil {
		return err
	}
	apply.SetGroupVersionKind(gvk)
	apply.SetNamespace(s.sync.GetNamespace())
	apply.SetName(s.sync.GetName())
	apply.SetUID(s.sync.GetUID())
	err = r.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(apply),
		client.FieldOwner(replica.FieldManager(r.Replica)), client.ForceOwnership)
	s.sync.SetResourceVersion(apply.GetResourceVersion())
	return client.IgnoreNotFound(err)
}

// partsDifferOnlyInConnections is differsOnlyInConnections for the parts of a replica.
func partsDifferOnlyInConnections(a, b *syncv1alpha1.ReplicaSyncStatus) bool {
	rest := func(part *syncv1alpha1.ReplicaSyncStatus) syncv1alpha1.ReplicaSyncStatus {
		if part == nil {
			part = cmp.Or(a, b)
			return syncv1alpha1.ReplicaSyncStatus{
				Name: part.Name, ObservedGeneration: part.ObservedGeneration, Revision: part.Revision, Through: part.Through,
			}
		}
		rest := *part
		rest.Connected, rest.Synced, rest.Waiting = 0, 0, 0
		return rest
	}
	connected := func(part *syncv1alpha1.ReplicaSyncStatus) int32 {
		if part == nil {
			return 0
		}
		return part.Connected
	}
	return connected(a) != connected(b) && equality.Semantic.DeepEqual(rest(a), rest(b))
}
