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
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/admission"
	"github.com/edgesync/edgesync/internal/desired"
)

// +kubebuilder:rbac:groups=sync.edgesync.io,resources=edgenodes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=sync.edgesync.io,resources=edgenodes/status,verbs=patch

// edgeNodeReconciler keeps each EdgeNode in the index, and what is known of its
// session in its status.
type edgeNodeReconciler struct {
	Options
	client   client.Client
	recorder events.EventRecorder

	// started is when everything was primed.
	started time.Time

	mu       sync.Mutex
	memories map[string]*nodeMemory
}

// nodeMemory is what is remembered of a node between reconciliations. It may be lost.
type nodeMemory struct {
	known    bool
	labels   labels.Set
	settings desired.NodeSettings
	settling settling
	own      ownWrite
	// heard is the session whose claims about itself have been looked at.
	heard string
}

func (r *edgeNodeReconciler) setupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("edgenode").
		For(&syncv1alpha1.EdgeNode{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		WatchesRawSource(r.Trigger.nodes.source(r.timing.statusInterval, nodeRequest)).
		WithOptions(controllerOptions()).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler.
func (r *edgeNodeReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	if !wait(ctx, r.Primed) {
		return ctrl.Result{}, nil
	}
	node := &syncv1alpha1.EdgeNode{}
	if err := r.client.Get(ctx, request.NamespacedName, node); apierrors.IsNotFound(err) {
		r.forget(request.Name)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	memory := r.memory(node.Name)
	r.setNode(node, memory)
	if memory.own.unseen(node, time.Now()) {
		return ctrl.Result{RequeueAfter: cachePause}, nil
	}
	labelsRest, labelsErr := r.writeSelfLabels(ctx, node, memory)
	result, err := r.writeStatus(ctx, node, memory) // whatever became of the labels
	if err = errors.Join(labelsErr, err); err != nil {
		return requeueOnConflict(ctrl.Result{}, err)
	}
	if labelsRest > 0 {
		result = within(result, labelsRest)
	}
	if r.lingers(node) {
		result = within(result, r.timing.statusInterval)
	}
	return result, nil
}

func (r *edgeNodeReconciler) memory(name string) *nodeMemory {
	r.mu.Lock()
	defer r.mu.Unlock()
	memory := r.memories[name]
	if memory == nil {
		memory = &nodeMemory{}
		r.memories[name] = memory
	}
	return memory
}

// forget takes a node that is gone out of the index.
func (r *edgeNodeReconciler) forget(name string) {
	r.Index.DeleteNode(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memories, name)
}

// setNode puts the node into the index, unless it is there as it is. Nothing belongs
// on a node that is revoked, and nothing of this node on another one of its name.
func (r *edgeNodeReconciler) setNode(node *syncv1alpha1.EdgeNode, memory *nodeMemory) {
	if node.Spec.Revoked || r.lingers(node) {
		r.Index.DeleteNode(node.Name)
		memory.known = false
		return
	}
	settings := desired.NodeSettings{
		Suspend: node.Spec.Suspend, Approval: node.Annotations[syncv1alpha1.AnnotationApproveDeletes],
	}
	if memory.known && memory.settings == settings && maps.Equal(memory.labels, labels.Set(node.Labels)) {
		return
	}
	memory.known, memory.labels, memory.settings = true, maps.Clone(node.Labels), settings
	r.Index.SetNode(node.Name, memory.labels, settings)
}

// writeStatus writes status if it has changed and come to rest, and tells of transitions.
func (r *edgeNodeReconciler) writeStatus(ctx context.Context, node *syncv1alpha1.EdgeNode, memory *nodeMemory) (ctrl.Result, error) {
	observation := &nodeObservation{
		name: node.Name, generation: node.Generation, spec: node.Spec, replica: r.Replica,
		renewalGrace: r.RenewalGrace, now: time.Now(),
	}
	if kind, unlisted := r.Index.Unlisted(node.Name); unlisted {
		observation.unlisted = fmt.Sprintf("%s in %s", kind.Kind, kind.GroupVersion())
	}
	if state, ok := r.sessionOf(node); ok {
		observation.state = &state
	} else if grace := r.graceOf(node); grace > 0 {
		return ctrl.Result{RequeueAfter: grace}, nil
	}
	after := nodeStatus(&node.Status, observation)
	if equality.Semantic.DeepEqual(&node.Status, after) {
		memory.settling = settling{}
		return ctrl.Result{RequeueAfter: untilExpiry(after, observation)}, nil
	}
	next := after.DeepCopy()
	resetTransitions(next.Conditions)
	if rest := memory.settling.rest(observation.now, next, !differsOnlyInProgress(&node.Status, after), r.timing); rest > 0 {
		return ctrl.Result{RequeueAfter: rest}, nil
	}
	before := node.DeepCopy()
	told := nodeEvents(&node.Status, after)
	node.Status = *after
	if err := r.client.Status().Patch(ctx, node, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return ctrl.Result{}, fmt.Errorf("write status: %w", err)
	}
	memory.own.written(node, observation.now)
	memory.settling = settling{}
	record(r.recorder, node, told)
	return ctrl.Result{RequeueAfter: untilExpiry(after, observation)}, nil
}

// sessionOf is the session of the node, unless it lingers.
func (r *edgeNodeReconciler) sessionOf(node *syncv1alpha1.EdgeNode) (NodeState, bool) {
	state, ok := r.Fleet.Node(node.Name)
	return state, ok && admission.Check(node, state.Peer) == nil
}

// lingers reports whether there is a session that the node is not admitted with, and that
// is about to end: the node may be revoked, or be another than the one of this name that
// has opened it.
func (r *edgeNodeReconciler) lingers(node *syncv1alpha1.EdgeNode) bool {
	state, ok := r.Fleet.Node(node.Name)
	return ok && admission.Check(node, state.Peer) != nil
}

// graceOf is how long a node of whose session status tells, and which had it with the
// manager before this one, is still given to come back: nodes that are about to connect
// again are not to be written twice.
func (r *edgeNodeReconciler) graceOf(node *syncv1alpha1.EdgeNode) time.Duration {
	session := node.Status.Session
	if session == nil || session.ConnectedTime.After(r.started) || node.Spec.Revoked {
		return 0
	}
	return time.Until(r.started.Add(r.timing.startGrace))
}

// nodeEvents are the transitions from one status of a node to another.
func nodeEvents(before, after *syncv1alpha1.EdgeNodeStatus) []event {
	var told []event
	connected := apimeta.FindStatusCondition(after.Conditions, syncv1alpha1.ConditionConnected)
	if connected != nil && connected.Reason == syncv1alpha1.ReasonDuplicateIdentity && isNews(before.Conditions, connected) {
		told = append(told, event{corev1.EventTypeWarning, connected.Reason, connected.Message})
	}
	synced := apimeta.FindStatusCondition(after.Conditions, syncv1alpha1.ConditionSynced)
	if known := apimeta.FindStatusCondition(before.Conditions, syncv1alpha1.ConditionSynced); synced != nil &&
		synced.Reason == syncv1alpha1.ReasonDeletesHeldBack && (known == nil || known.Message != synced.Message) {
		told = append(told, event{corev1.EventTypeWarning, synced.Reason, synced.Message})
	}
	if len(before.Failures) == 0 && len(after.Failures) > 0 {
		first := after.Failures[0]
		told = append(told, event{corev1.EventTypeWarning, first.Reason, first.Object + ": " + first.Message})
	}
	return told
}
