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
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
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
// of each in the index, and sums up in status what the nodes have made of it.
type syncReconciler struct {
	Options
	client client.Client
	// live reads past the cache.
	live     client.Reader
	recorder events.EventRecorder
	// newObject makes an object of the kind that this reconciler is for.
	newObject func() client.Object
	dirty     *dirtySet[desired.SourceID]

	// started is when everything was primed.
	started time.Time

	mu       sync.Mutex
	memories map[desired.SourceID]*syncMemory
}

// syncMemory is what is remembered of a sync between reconciliations. It may be lost:
// a restarted manager builds it anew.
type syncMemory struct {
	// source is what the index has.
	source  sourceVersion
	covered coverage
	// heldBackAt is when deletions were last seen to be held back.
	heldBackAt time.Time
	writtenAt  time.Time
	status     ownWrite
	settling   settling
	// syncedGeneration is the generation that was last announced to be synced.
	syncedGeneration int64
}

// syncScope is one reconciliation of one sync.
type syncScope struct {
	sync   syncObject
	memory *syncMemory
	// problem is one with a selector.
	problem *watch.Problem
	// namespaceGoes says that the namespace is being deleted with all that is in it.
	namespaceGoes bool
}

func (r *syncReconciler) setupWithManager(mgr ctrl.Manager, name string) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		For(r.newObject(), builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		WatchesRawSource(r.dirty.source(r.timing.statusInterval, syncRequest)).
		WithOptions(controllerOptions()).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler.
func (r *syncReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	if !wait(ctx, r.Primed) {
		return ctrl.Result{}, nil
	}
	obj := r.newObject()
	if err := r.client.Get(ctx, request.NamespacedName, obj); apierrors.IsNotFound(err) {
		r.forget(desired.SourceID{Namespace: request.Namespace, Name: request.Name})
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	scope := r.scope(obj)
	if scope.sync.deleting() {
		return requeueOnConflict(r.reconcileDelete(ctx, scope))
	}
	return requeueOnConflict(r.reconcileLive(ctx, scope))
}

func (r *syncReconciler) scope(obj client.Object) *syncScope {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &syncScope{sync: asSync(obj)}
	id := s.sync.id()
	s.memory = r.memories[id]
	if s.memory == nil || s.memory.source.uid != "" && s.memory.source.uid != obj.GetUID() {
		s.memory = &syncMemory{syncedGeneration: syncedGeneration(s.sync.status)}
		r.memories[id] = s.memory
	}
	return s
}

// forget takes a sync that is gone out of the index.
func (r *syncReconciler) forget(id desired.SourceID) {
	r.Index.DeleteSource(id)
	r.Watches.Release(id)
	r.Trigger.watchNodes(id, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memories, id)
}

func (r *syncReconciler) reconcileLive(ctx context.Context, s *syncScope) (ctrl.Result, error) {
	if err := r.patchFinalizer(ctx, s, controllerutil.AddFinalizer); err != nil {
		return ctrl.Result{}, fmt.Errorf("add the finalizer: %w", err)
	}
	r.setSource(s, phaseLive)
	left, observation := r.observe(s)
	result, err := r.writeStatus(ctx, s, observation)
	if left.onGoneNodes {
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

// setSource puts the sync into the index, unless it is there as it is.
func (r *syncReconciler) setSource(s *syncScope, phase sourcePhase) {
	source, problem := s.sync.source()
	s.problem = problem
	version := s.sync.sourceVersion(phase)
	version.approveDeletes = version.approveDeletes || s.namespaceGoes
	if s.memory.source == version {
		return
	}
	if s.memory.source.uid != "" {
		r.see(s) // what it has covered until now
	}
	source.Suspend = source.Suspend || phase == phaseSurvey
	source.Deleting = phase == phaseDeleting
	source.ApproveDeletes = version.approveDeletes
	r.Index.SetSource(source)
	r.Watches.Use(source.ID, source.Kind)
	s.memory.source = version
}

// see looks at what the sync covers.
func (r *syncReconciler) see(s *syncScope) desired.SourceView {
	id := s.sync.id()
	view, _ := r.Index.View(id)
	keys := make([]object.Key, 0, len(view.Objects)+1)
	for _, o := range view.Objects {
		keys = append(keys, o.Key)
	}
	s.memory.covered.see(view.Nodes, keys)
	if key, ok := s.sync.refKey(); ok && len(keys) == 0 {
		// Where the object does not exist it may not have been removed yet.
		s.memory.covered.goneKeys[key] = struct{}{}
	}
	r.Trigger.watchNodes(id, view.Nodes)
	return view
}

// observe finds out all that status is made of.
func (r *syncReconciler) observe(s *syncScope) (leftovers, *syncObservation) {
	view := r.see(s)
	keys := s.memory.covered.keys
	// After a restart of the manager the nodes are about to connect again.
	expected := time.Now().Before(r.started.Add(r.timing.startGrace))
	left := s.memory.covered.leftovers(r.Index, r.Fleet, expected)
	_, heldBack := left.any()
	state := r.Watches.State(s.sync.id())
	o := &syncObservation{
		generation: s.sync.GetGeneration(),
		spec:       s.sync.spec,
		deleting:   s.sync.deleting(),
		approve:    s.sync.approveCommand(),
		listed:     view.Listed,
		objects:    len(view.Objects),
		heldBack:   heldBack,
	}
	if heldBack {
		s.memory.heldBackAt = time.Now()
	}
	if o.deleting {
		return left, o
	}
	o.problem = s.problem
	if o.problem == nil {
		o.problem = state.Problem
	}
	if s.sync.spec.ObjectRef != nil && len(view.Objects) > 0 {
		o.objectVersion = view.Objects[0].Version
	}
	o.nodes = make([]nodeProgress, 0, len(view.Nodes))
	for _, name := range view.Nodes {
		o.nodes = append(o.nodes, r.progressOf(name, keys, left.byNode[name]))
	}
	return left, o
}

func (r *syncReconciler) progressOf(name string, keys []object.Key, left leftover) nodeProgress {
	node := nodeProgress{name: name}
	node.worst, node.failures, node.connected = r.Fleet.Progress(name, keys)
	node.worst = max(node.worst, left.progress)
	node.failures = append(node.failures, left.failures...)
	if len(node.failures) > 0 {
		node.worst = delivery.Failing
	}
	return node
}

// writeStatus writes status if it has changed, at most once an interval, and tells of
// transitions.
func (r *syncReconciler) writeStatus(ctx context.Context, s *syncScope, o *syncObservation) (ctrl.Result, error) {
	now := time.Now()
	if s.memory.status.unseen(s.sync, now) {
		return ctrl.Result{RequeueAfter: cachePause}, nil
	}
	status := s.sync.status
	after := syncStatus(status, o)
	if equality.Semantic.DeepEqual(status, after) {
		s.memory.settling = settling{}
		return ctrl.Result{}, nil
	}
	next := after.DeepCopy()
	resetTransitions(next.Conditions)
	rest := s.memory.settling.rest(now, next, !differsOnlyInConnections(status, after), r.timing)
	if rest = max(rest, s.memory.writtenAt.Add(r.timing.statusInterval).Sub(now)); rest > 0 {
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
