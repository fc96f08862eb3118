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
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get

// reconcileDelete has the connected nodes remove what nothing else wants there, and
// then lets the sync go: see docs/adr/0003-finalizer-never-hangs.md.
func (r *syncReconciler) reconcileDelete(ctx context.Context, s *syncScope) (ctrl.Result, error) {
	started, _ := r.unrest.started()
	if mustWait(deletion{
		now: time.Now(), started: started, unrest: r.unrest.last(), deleted: s.sync.GetDeletionTimestamp().Time,
		heldBackAt: s.memory.heldBackAt, offline: s.left.offline,
		removing: s.observation.removing > 0 || s.observation.othersRemove(),
		heldBack: s.observation.heldBack || s.observation.othersHoldBack(),
	}, r.timing) {
		result, err := r.writeStatus(ctx, s)
		return within(result, r.timing.statusInterval), err
	}
	err := r.patchFinalizer(ctx, s, controllerutil.RemoveFinalizer)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("remove the finalizer: %w", err)
	}
	return ctrl.Result{}, nil
}

// namespaceGoes reports whether the sync is deleted with its namespace. Then its objects are
// deleted as well, each on its own, which needs no approval: whether they or the sync go
// first is chance, and is not to decide whether the namespace waits.
func (r *syncReconciler) namespaceGoes(ctx context.Context, memory *syncMemory) (bool, error) {
	memory.mu.Lock()
	name, ask := memory.sync.GetNamespace(), memory.sync.deleting() && !memory.namespaceGoes
	known := memory.namespaceGoes
	memory.mu.Unlock()
	if name == "" || !ask {
		return known, nil
	}
	var namespace corev1.Namespace
	if err := r.live.Get(ctx, client.ObjectKey{Name: name}, &namespace); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("read the namespace: %w", err)
	}
	return !namespace.DeletionTimestamp.IsZero(), nil
}

// deletion is all that decides whether a sync that is being deleted must wait.
type deletion struct {
	now, started, deleted time.Time
	// unrest is when nodes last lost their sessions with many others.
	unrest time.Time
	// heldBackAt is when deletions were last seen to wait for approval.
	heldBackAt time.Time
	// removing: connected nodes still hold something. heldBack: some of that waits for
	// approval. offline: some nodes are not connected.
	removing, heldBack, offline bool
}

// mustWait says whether the sync must stay. Only an approval that is missing on a
// connected node may keep it for long.
func mustWait(d deletion, timing timing) bool {
	switch {
	case d.heldBack:
		return true
	case d.removing:
		return d.now.Before(latest(d.deleted, d.started, d.heldBackAt).Add(timing.deletePatience))
	case d.offline:
		// The nodes of a replica that has ended are about to connect again.
		return d.now.Before(d.unrest.Add(timing.startGrace))
	default:
		return false
	}
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}
