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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get

// reconcileDelete has the connected nodes remove what nothing else wants there, and
// then lets the sync go: see docs/adr/0003-finalizer-never-hangs.md.
func (r *syncReconciler) reconcileDelete(ctx context.Context, s *syncScope) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(s.sync, syncv1alpha1.Finalizer) {
		r.forget(s.sync.id())
		return ctrl.Result{}, nil
	}
	if r.surveying(s) {
		return ctrl.Result{RequeueAfter: r.timing.statusInterval}, nil
	}
	var err error
	if s.namespaceGoes, err = r.namespaceGoes(ctx, s.sync.GetNamespace()); err != nil {
		return ctrl.Result{}, fmt.Errorf("read the namespace: %w", err)
	}
	r.setSource(s, phaseDeleting)
	left, observation := r.observe(s)
	removing, heldBack := left.any()
	if mustWait(deletion{
		now: time.Now(), started: r.started, deleted: s.sync.GetDeletionTimestamp().Time,
		heldBackAt: s.memory.heldBackAt, removing: removing, heldBack: heldBack, offline: left.offline,
	}, r.timing) {
		result, err := r.writeStatus(ctx, s, observation)
		return within(result, r.timing.statusInterval), err
	}
	err = r.patchFinalizer(ctx, s, controllerutil.RemoveFinalizer)
	if err != nil && !apierrors.IsNotFound(err) {
		return ctrl.Result{}, fmt.Errorf("remove the finalizer: %w", err)
	}
	r.forget(s.sync.id())
	return ctrl.Result{}, nil
}

// namespaceGoes reports whether a namespace is being deleted. Then its objects are
// deleted as well, each on its own, which needs no approval: whether they or the sync go
// first is chance, and is not to decide whether the namespace waits.
func (r *syncReconciler) namespaceGoes(ctx context.Context, name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	var namespace corev1.Namespace
	err := r.live.Get(ctx, client.ObjectKey{Name: name}, &namespace)
	return !namespace.DeletionTimestamp.IsZero(), client.IgnoreNotFound(err)
}

// surveying reports whether it is still to be found out what the sync has delivered.
// A manager that finds a sync being deleted when it starts asks the index what the
// sync would cover, and freezes that on the nodes meanwhile.
func (r *syncReconciler) surveying(s *syncScope) bool {
	if s.memory.source.uid == "" || s.memory.source.phase == phaseDeleting {
		return false
	}
	view := r.see(s)
	if view.Listed || r.Watches.State(s.sync.id()).Problem != nil {
		return false
	}
	return time.Now().Before(latest(r.started, s.sync.GetDeletionTimestamp().Time).Add(r.timing.deletePatience))
}

// deletion is all that decides whether a sync that is being deleted must wait.
type deletion struct {
	now, started, deleted time.Time
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
		// After a restart of the manager the nodes are about to connect again.
		return d.now.Before(d.started.Add(timing.startGrace))
	default:
		return false
	}
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}
