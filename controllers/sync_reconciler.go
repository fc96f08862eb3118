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
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/watch"
)

// +kubebuilder:rbac:groups=sync.edgesync.io,resources=objectsyncs;clusterobjectsyncs,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=sync.edgesync.io,resources=objectsyncs/status;clusterobjectsyncs/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// syncReconciler reconciles ObjectSyncs, or ClusterObjectSyncs: it keeps the source
// of each in the index, and sums up in status what the nodes have made of it. The replica that
// leads writes what becomes of all nodes, and any other what becomes of its own.
type syncReconciler struct {
	Options
	client client.Client
	// live reads past the cache.
	live     client.Reader
	recorder events.EventRecorder
	// feed is the informer of the kind that this reconciler is for.
	feed  desired.Feed
	dirty *dirtySet[desired.SourceID]
	// whereIs tells where a node is that is not connected here.
	whereIs func(node string) whereabouts

	mu       sync.Mutex
	memories map[desired.SourceID]*syncMemory
}

// syncMemory is what is remembered of a sync between reconciliations. It may be lost:
// a restarted manager builds it anew.
type syncMemory struct {
	// mu guards what the informer and the reconciler both use: all up to writtenAt.
	mu sync.Mutex
	// sync is as the informer had it last. It must not be changed.
	sync syncObject
	// gone says that it is no more.
	gone bool
	// problem is one with a selector.
	problem *watch.Problem
	// namespaceGoes says that the namespace is being deleted with all that is in it.
	namespaceGoes bool
	// source is what the index has.
	source  sourceVersion
	covered coverage
	// heldBackAt is when deletions were last seen to be held back.
	heldBackAt time.Time

	writtenAt time.Time
	status    ownWrite
	settling  settling
	// rolloutWatch is for the leader.
	rolloutWatch rolloutWatch
	// syncedGeneration is the generation that was last announced to be synced.
	syncedGeneration int64
}

// syncScope is one reconciliation of one sync.
type syncScope struct {
	// sync is as the index has it, and may be changed.
	sync   syncObject
	memory *syncMemory
	phase  sourcePhase
	// left and observation are what is known of the nodes, unless the sync is surveyed.
	left        leftovers
	observation *syncObservation
}

func (r *syncReconciler) setupWithManager(mgr ctrl.Manager, name string) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		WatchesRawSource(r.dirty.source(r.timing.statusInterval, math.MaxInt, never, syncRequest)).
		WithOptions(controllerOptions()).
		Complete(r)
}

// news has a sync reconciled that is another than it was in what matters here.
func (r *syncReconciler) news(before, now client.Object) {
	sync := asSync(now)
	if before == nil || r.matters(asSync(before), sync) {
		r.dirty.urge(sync.id())
	}
}

func (r *syncReconciler) matters(before, now syncObject) bool {
	return before.GetGeneration() != now.GetGeneration() || before.GetUID() != now.GetUID() ||
		!equality.Semantic.DeepEqual(before.GetAnnotations(), now.GetAnnotations()) ||
		!equality.Semantic.DeepEqual(before.status.Replicas, now.status.Replicas) ||
		!r.leads() && !equality.Semantic.DeepEqual(before.status.Rollout, now.status.Rollout)
}

func (r *syncReconciler) markAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.memories {
		r.dirty.mark(id)
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *syncReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	if !wait(ctx, r.Primed) {
		return ctrl.Result{}, nil
	}
	memory := r.memory(desired.SourceID{Namespace: request.Namespace, Name: request.Name})
	if memory == nil {
		return ctrl.Result{}, nil
	}
	r.pace.wait(ctx)
	s, err := r.scope(ctx, memory)
	switch {
	case err != nil || s == nil:
		return ctrl.Result{}, err
	case s.phase == phaseSurvey:
		return ctrl.Result{RequeueAfter: r.timing.statusInterval}, nil
	case !r.leads():
		return requeueOnConflict(r.writePart(ctx, s))
	case s.sync.deleting():
		return requeueOnConflict(r.reconcileDelete(ctx, s))
	default:
		return requeueOnConflict(r.reconcileLive(ctx, s))
	}
}

// scope brings the index up to date, and looks at what is known. It is nil if there is nothing
// to be done about the sync any longer.
func (r *syncReconciler) scope(ctx context.Context, memory *syncMemory) (*syncScope, error) {
	namespaceGoes, err := r.namespaceGoes(ctx, memory)
	if err != nil {
		return nil, err
	}
	memory.mu.Lock()
	defer memory.mu.Unlock()
	if memory.gone || memory.sync.deleting() && !controllerutil.ContainsFinalizer(memory.sync, syncv1alpha1.Finalizer) {
		return nil, nil
	}
	memory.namespaceGoes = namespaceGoes
	defer r.pace.spent(time.Now())
	r.refresh(memory)
	s := &syncScope{sync: asSync(memory.sync.DeepCopyObject().(client.Object)), memory: memory, phase: memory.source.phase}
	if s.phase != phaseSurvey {
		s.left, s.observation = r.observe(memory)
	}
	return s, nil
}

func (r *syncReconciler) reconcileLive(ctx context.Context, s *syncScope) (ctrl.Result, error) {
	if err := r.patchFinalizer(ctx, s, controllerutil.AddFinalizer); err != nil {
		return ctrl.Result{}, fmt.Errorf("add the finalizer: %w", err)
	}
	result, err := r.writeStatus(ctx, s)
	if pause := s.memory.rolloutWatch.pause(time.Now(), s.observation.rollout, r.timing.statusInterval); pause > 0 {
		result = within(result, pause)
	}
	if s.left.onGoneNodes {
		// Nothing else tells of nodes that the sync no longer covers.
		result = within(result, r.timing.statusInterval)
	}
	return result, err
}

// patchFinalizer changes the finalizer, and leaves the rest of s.sync as it is.
func (r *syncReconciler) patchFinalizer(ctx context.Context, s *syncScope, change func(client.Object, string) bool) error {
	before := s.sync.DeepCopyObject().(client.Object)
	if !change(s.sync, syncv1alpha1.Finalizer) {
		return nil
	}
	return r.client.Patch(ctx, s.sync.Object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// observe finds out all that status is made of. The memory is locked.
func (r *syncReconciler) observe(memory *syncMemory) (leftovers, *syncObservation) {
	view := r.see(memory)
	keys := memory.covered.keys
	left := memory.covered.leftovers(r.Index, r.Fleet, r.nodesExpected())
	heldBack := left.heldBack()
	state := r.Watches.State(memory.sync.id())
	o := &syncObservation{
		generation: memory.sync.GetGeneration(),
		spec:       memory.sync.spec,
		deleting:   memory.sync.deleting(),
		approve:    memory.sync.approveCommand(),
		listed:     view.Listed,
		objects:    len(view.Objects),
		revision:   view.Revision,
		resume:     memory.sync.resumeCommand(),
		removing:   len(left.byNode),
		heldBack:   heldBack,
	}
	if r.leads() {
		o.parts = r.partsOfOthers(memory.sync.status.Replicas)
	}
	if heldBack || o.othersHoldBack() {
		memory.heldBackAt = time.Now()
	}
	if o.deleting {
		return left, o
	}
	o.problem = memory.problem
	if o.problem == nil {
		o.problem = state.Problem
	}
	if memory.sync.spec.ObjectRef != nil && len(view.Objects) > 0 {
		o.objectVersion = view.Objects[0].Version
	}
	o.nodes = make([]nodeProgress, 0, len(view.Nodes))
	waiting := waitingNodes(&view)
	for _, name := range view.Nodes {
		node := r.progressOf(name, keys, left.byNode[name])
		switch _, waits := waiting[name]; {
		case node.worst == delivery.Waiting && !waits:
			// It only waits for its turn in the rollout of another sync, which is not to hold this one up.
			node.worst = delivery.InSync
		case node.worst == delivery.InSync && waits && node.connected && r.leads() && r.recallGoneKeys(memory, name):
			node.worst = delivery.Waiting
		}
		o.nodes = append(o.nodes, node)
	}
	if r.leads() {
		r.advance(memory.sync, &view, o)
	}
	o.markWaiting(&view)
	if view.Cursor.Revision == view.Revision {
		o.through = view.Cursor.Through
	}
	return left, o
}

// nodesExpected reports whether many nodes may be about to connect again.
func (r *syncReconciler) nodesExpected() bool {
	return time.Now().Before(r.unrest.last().Add(r.timing.startGrace))
}

func (r *syncReconciler) progressOf(name string, keys []object.Key, left leftover) nodeProgress {
	node := nodeProgress{name: name}
	node.worst, node.failures, node.connected = r.Fleet.Progress(name, keys)
	if !node.connected && r.leads() {
		node.elsewhere = r.whereIs(name).replica
	}
	node.worst = max(node.worst, left.progress)
	node.failures = append(node.failures, left.failures...)
	if len(node.failures) > 0 {
		node.worst = delivery.Failing
	}
	return node
}

// writeStatus writes status if it has changed, at most once an interval, and tells of
// transitions.
func (r *syncReconciler) writeStatus(ctx context.Context, s *syncScope) (ctrl.Result, error) {
	now := time.Now()
	if s.memory.status.unseen(s.sync, now) {
		return ctrl.Result{RequeueAfter: cachePause}, nil
	}
	status := s.sync.status
	after := syncStatus(status, s.observation)
	if equality.Semantic.DeepEqual(status, after) {
		s.memory.settling = settling{}
		return ctrl.Result{}, nil
	}
	next := after.DeepCopy()
	resetTransitions(next.Conditions)
	if rest := s.memory.rest(now, next, !differsOnlyInConnections(status, after), r.timing); rest > 0 {
		return ctrl.Result{RequeueAfter: rest}, nil
	}
	before := s.sync.DeepCopyObject().(client.Object)
	told := syncEvents(status, after, s.memory)
	*status = *after
	s.memory.writtenAt = now
	err := r.client.Status().Patch(ctx, s.sync.Object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("write status: %w", err)
	}
	s.memory.status.written(s.sync, now)
	s.memory.settling = settling{}
	s.memory.syncedGeneration = max(s.memory.syncedGeneration, syncedGeneration(after))
	record(r.recorder, s.sync.Object, told)
	return ctrl.Result{}, nil
}

// rest is how long it will be until what has changed may be written.
func (m *syncMemory) rest(now time.Time, next any, urgent bool, timing timing) time.Duration {
	return max(m.settling.rest(now, next, urgent, timing), m.writtenAt.Add(timing.statusInterval).Sub(now))
}
