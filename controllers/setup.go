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
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/watch"
)

// Options are what the reconcilers work with; all but RenewalGrace are required.
type Options struct {
	// Index is what the reconcilers fill. Its onSource must be Trigger.OnSource.
	Index *desired.Index
	// Watches fill the index with objects. Their OnChange must be Trigger.OnSource.
	// Whoever makes them runs them.
	Watches *watch.Set
	Fleet   Fleet
	Trigger *StatusTrigger
	// Replica is the name of this manager, which stands in the sessions of EdgeNodes.
	// It is unique among replicas, and best stays the same when one restarts.
	Replica string
	// RenewalGrace is how long after its expiry the certificate of a node can be renewed.
	RenewalGrace time.Duration
	// Primed is closed once every sync and node that exists at the start is in the
	// index. Until then the index must not be believed when it says that a node
	// should not hold something.
	Primed chan struct{}

	timing timing
}

// timing is how long things take.
type timing struct {
	// statusInterval is the least time between two writes of one status.
	statusInterval time.Duration
	// settle is how long what comes and goes must rest to be written, and settleAtMost
	// how long it may move without being written: see settling.
	settle, settleAtMost time.Duration
	// startGrace is how long after the start of the manager nodes are expected back.
	startGrace time.Duration
	// deletePatience is how long connected nodes have to remove the objects of a sync
	// that is being deleted.
	deletePatience time.Duration
}

var defaultTiming = timing{
	statusInterval: time.Second,
	settle:         5 * time.Second,
	settleAtMost:   30 * time.Second,
	startGrace:     10 * time.Second,
	deletePatience: 30 * time.Second,
}

func (o *Options) validate() error {
	if o.Index == nil || o.Watches == nil || o.Fleet == nil || o.Trigger == nil || o.Replica == "" || o.Primed == nil {
		return errors.New("the reconcilers need an index, watches, a fleet, a trigger, the name of the replica and a channel to close")
	}
	if o.timing == (timing{}) {
		o.timing = defaultTiming
	}
	return nil
}

// Setup adds the reconcilers to a manager that has the edgesync API in its scheme.
// They run in the replica that leads.
func Setup(mgr ctrl.Manager, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	o.Trigger.connect(o.Index)
	recorder := mgr.GetEventRecorder("edgesync-manager")
	syncs := &syncReconciler{
		Options: o, client: mgr.GetClient(), live: mgr.GetAPIReader(), recorder: recorder, dirty: o.Trigger.syncs,
		newObject: func() client.Object { return &syncv1alpha1.ObjectSync{} },
		memories:  map[desired.SourceID]*syncMemory{},
	}
	clusterSyncs := &syncReconciler{
		Options: o, client: mgr.GetClient(), live: mgr.GetAPIReader(), recorder: recorder, dirty: o.Trigger.clusterSyncs,
		newObject: func() client.Object { return &syncv1alpha1.ClusterObjectSync{} },
		memories:  map[desired.SourceID]*syncMemory{},
	}
	nodes := &edgeNodeReconciler{
		Options: o, client: mgr.GetClient(), recorder: recorder, memories: map[string]*nodeMemory{},
	}
	if err := errors.Join(
		syncs.setupWithManager(mgr, "objectsync"),
		clusterSyncs.setupWithManager(mgr, "clusterobjectsync"),
		nodes.setupWithManager(mgr),
	); err != nil {
		return fmt.Errorf("set up the reconcilers: %w", err)
	}
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return prime(ctx, mgr.GetClient(), syncs, clusterSyncs, nodes)
	}))
}

// prime puts all that exists into the index, and then lets the reconcilers begin.
func prime(ctx context.Context, reader client.Reader, syncs, clusterSyncs *syncReconciler, nodes *edgeNodeReconciler) error {
	var (
		nodeList        syncv1alpha1.EdgeNodeList
		syncList        syncv1alpha1.ObjectSyncList
		clusterSyncList syncv1alpha1.ClusterObjectSyncList
	)
	for _, list := range []client.ObjectList{&nodeList, &syncList, &clusterSyncList} {
		if err := reader.List(ctx, list); err != nil {
			return fmt.Errorf("read what exists at the start: %w", err)
		}
	}
	for i := range nodeList.Items {
		node := &nodeList.Items[i]
		nodes.setNode(node, nodes.memory(node.Name))
	}
	for i := range syncList.Items {
		syncs.prime(&syncList.Items[i])
	}
	for i := range clusterSyncList.Items {
		clusterSyncs.prime(&clusterSyncList.Items[i])
	}
	now := time.Now()
	syncs.started, clusterSyncs.started, nodes.started = now, now, now
	close(nodes.Primed)
	return nil
}

func (r *syncReconciler) prime(obj client.Object) {
	scope := r.scope(obj)
	if scope.sync.deleting() {
		r.setSource(scope, phaseSurvey)
	} else {
		r.setSource(scope, phaseLive)
	}
}

// wait waits until ready is closed; it is false if ctx ends before.
func wait(ctx context.Context, ready <-chan struct{}) bool {
	select {
	case <-ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// requeueOnConflict tries again, without a word, when the object has changed meanwhile.
func requeueOnConflict(result ctrl.Result, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	return result, err
}

// within has a result requeue after at most d.
func within(result ctrl.Result, d time.Duration) ctrl.Result {
	if result.RequeueAfter == 0 || result.RequeueAfter > d {
		result.RequeueAfter = d
	}
	return result
}

func controllerOptions() controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: 4,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
			50*time.Millisecond, 30*time.Second),
	}
}
