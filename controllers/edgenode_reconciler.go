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
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
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

	mu       sync.Mutex
	memories map[string]*nodeMemory
}

// nodeMemory is what is remembered of a node between reconciliations. It may be lost.
type nodeMemory struct {
	// node is as the informer had it last. It must not be changed.
	node *syncv1alpha1.EdgeNode
	// known says that the index has the node, with the settings.
	known    bool
	settings desired.NodeSettings

	// The rest is for the reconciler alone.
	settling settling
	own      ownWrite
	// heard is the session whose claims about itself have been looked at.
	heard string
}

// nodesAtOnce is how many nodes of which something has happened are looked at in an interval,
// those first that have waited longest, but for the urgent ones: when thousands connect at a time, or are changed, what
// they hold is more urgent than what is written about it.
const nodesAtOnce = 200

func (r *edgeNodeReconciler) setupWithManager(mgr ctrl.Manager) error {
	r.Trigger.nodes.urgent = r.isUrgent
	return ctrl.NewControllerManagedBy(mgr).
		Named("edgenode").
		WatchesRawSource(r.Trigger.nodes.source(r.timing.statusInterval, nodesAtOnce, r.rushed(), nodeRequest)).
		WithOptions(controllerOptions()).
		Complete(r)
}

// rushed reports whether nodes are to be left alone because many connect at the moment, though
// not for ever.
func (r *edgeNodeReconciler) rushed() func() bool {
	var since time.Time // zero if there is no rush
	return func() bool {
		switch now := time.Now(); {
		case !r.Fleet.Rushed():
			since = time.Time{}
			return false
		case since.IsZero():
			since = now
			return true
		default:
			return now.Sub(since) < r.timing.rushAtMost
		}
	}
}

// news has a node reconciled that is another than it was in what matters here. The leader sums up
// its syncs anew when it is with another replica.
func (r *edgeNodeReconciler) news(before, now client.Object) {
	if before == nil || nodeMatters(before.(*syncv1alpha1.EdgeNode), now.(*syncv1alpha1.EdgeNode)) {
		r.Trigger.nodes.urge(now.GetName())
	}
	if before != nil && r.leads() && replicaOf(before) != replicaOf(now) {
		r.Trigger.markSyncsOf(now.GetName())
	}
}

func replicaOf(node client.Object) string {
	if session := node.(*syncv1alpha1.EdgeNode).Status.Session; session != nil {
		return session.Replica
	}
	return ""
}

func nodeMatters(before, now *syncv1alpha1.EdgeNode) bool {
	return before.Generation != now.Generation || before.UID != now.UID ||
		!maps.Equal(before.Annotations, now.Annotations) || !maps.Equal(before.Labels, now.Labels) ||
		!equality.Semantic.DeepEqual(before.Status.Session, now.Status.Session)
}

// markUnattended has the nodes looked at for which this replica may have to speak from now on, since
// the replicas or the leader are others. All others would only be in their way.
func (r *edgeNodeReconciler) markUnattended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, memory := range r.memories {
		if !r.attended(memory.node) {
			r.Trigger.nodes.mark(name)
		}
	}
}

// attended reports whether the replica that has the session of the node, as far as this one can
// tell, is the one that is recorded.
func (r *edgeNodeReconciler) attended(node *syncv1alpha1.EdgeNode) bool {
	recorded := node.Status.Session
	_, here := r.Fleet.Node(node.Name)
	if recorded == nil {
		return !here && !r.leads()
	}
	return r.Replicas.Alive(recorded.Replica) && here == (recorded.Replica == r.Replica)
}

// isUrgent reports whether somebody has to act upon what the node does.
func (r *edgeNodeReconciler) isUrgent(name string) bool {
	state, ok := r.Fleet.Node(name)
	return ok && (state.Summary.Failed > 0 || state.Summary.HeldBack > 0)
}

// Reconcile implements reconcile.Reconciler.
func (r *edgeNodeReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	if !wait(ctx, r.Primed) {
		return ctrl.Result{}, nil
	}
	memory, seen := r.recall(request.Name)
	if memory == nil {
		return ctrl.Result{}, nil
	}
	if memory.own.unseen(seen, time.Now()) {
		return ctrl.Result{RequeueAfter: cachePause}, nil
	}
	if !r.speaksFor(seen) {
		return ctrl.Result{}, nil
	}
	node := seen.DeepCopy()
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

// speaksFor reports whether it is for this replica to say what becomes of the node: it has the
// session, or the last that is known was its own, or it leads and no replica that lives has had
// that. A session of this replica is ended if the node has a newer one elsewhere: the connection
// is one of those of which only the other end knows that they are over.
func (r *edgeNodeReconciler) speaksFor(node *syncv1alpha1.EdgeNode) bool {
	recorded := node.Status.Session
	elsewhere := recorded != nil && recorded.Replica != r.Replica && r.Replicas.Alive(recorded.Replica)
	if state, ok := r.Fleet.Node(node.Name); ok {
		if elsewhere && isNewer(recorded, state) {
			r.Fleet.End(node.Name, state.SessionID)
			return false
		}
		return true
	}
	if recorded != nil && recorded.Replica == r.Replica {
		return true
	}
	return !elsewhere && r.leads()
}

// isNewer compares sessions of a node at two replicas. Their clocks may differ, but not by as
// long as it takes until a connection that has broken without a word is given up.
func isNewer(recorded *syncv1alpha1.EdgeNodeSession, own NodeState) bool {
	began := metav1.NewTime(own.ConnectedTime).Rfc3339Copy()
	if !recorded.ConnectedTime.Equal(&began) {
		return began.Before(&recorded.ConnectedTime)
	}
	return own.SessionID < recorded.ID
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

// graceOf is how long a node of whose session status tells, and which had it with a replica
// that has ended, is still given to come back: nodes that are about to connect
// again are not to be written twice.
func (r *edgeNodeReconciler) graceOf(node *syncv1alpha1.EdgeNode) time.Duration {
	session := node.Status.Session
	if session == nil || node.Spec.Revoked {
		return 0
	}
	started, _ := r.unrest.started()
	if session.Replica != r.Replica {
		started = r.unrest.last()
	} else if session.ConnectedTime.After(started) {
		return 0
	}
	return time.Until(started.Add(r.timing.startGrace))
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
