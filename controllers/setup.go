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
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/watch"
)

// Replicas are the other replicas of the manager, as package replica knows them.
type Replicas interface {
	// Alive reports whether a replica lives; this one always does.
	Alive(name string) bool
	// OnChange has observer called when another replica comes or dies.
	OnChange(observer func(name string, alive bool))
	// Synced is closed once the replicas that exist at the start are known.
	Synced() <-chan struct{}
}

// Options are what the reconcilers work with; all but RenewalGrace and NodeBytesPerSecond are required.
type Options struct {
	// Index is what the reconcilers fill. Its onSource must be Trigger.OnSource.
	Index *desired.Index
	// Watches fill the index with objects. Their OnChange must be Trigger.OnSource.
	// Whoever makes them runs them.
	Watches *watch.Set
	Fleet   Fleet
	Trigger *StatusTrigger
	// Replicas are the others.
	Replicas Replicas
	// Replica is the name of this manager, which stands in the sessions of EdgeNodes.
	// It is unique among replicas, and best stays the same when one restarts.
	Replica string
	// RenewalGrace is how long after its expiry the certificate of a node can be renewed.
	RenewalGrace time.Duration
	// NodeBytesPerSecond bounds what is sent to a node whose EdgeNode does not say; 0 is no bound.
	NodeBytesPerSecond int64
	// Primed is closed once every sync and node that exists at the start is in the
	// index. Until then the index must not be believed when it says that a node
	// should not hold something.
	Primed chan struct{}

	timing timing
	unrest *unrest
	pace   *pace
	// elected is closed once this replica leads.
	elected <-chan struct{}
}

// leads reports whether this replica leads: it writes what all replicas share. It leads until it ends.
func (o *Options) leads() bool {
	select {
	case <-o.elected:
		return true
	default:
		return false
	}
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
	// rushAtMost is how long the status of nodes waits while many connect.
	rushAtMost time.Duration
}

var defaultTiming = timing{
	statusInterval: time.Second,
	settle:         5 * time.Second,
	settleAtMost:   30 * time.Second,
	startGrace:     10 * time.Second,
	deletePatience: 30 * time.Second,
	rushAtMost:     15 * time.Second,
}

func (o *Options) validate() error {
	if o.Index == nil || o.Watches == nil || o.Fleet == nil || o.Trigger == nil || o.Replicas == nil || o.Replica == "" || o.Primed == nil {
		return errors.New("the reconcilers need an index, watches, a fleet, a trigger, the replicas, the name of this one and a channel to close")
	}
	if o.timing == (timing{}) {
		o.timing = defaultTiming
	}
	return nil
}

// Setup adds the reconcilers to a manager that has the edgesync API in its scheme. They run in
// every replica. ctx bounds the requests that it makes.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	o.unrest, o.pace = &unrest{}, &pace{}
	if o.elected == nil {
		o.elected = mgr.Elected()
	}
	o.Trigger.connect(o.Index)
	fleetMetrics.source.Store(&fleetSource{reader: mgr.GetClient(), leads: o.leads})
	recorder := mgr.GetEventRecorder("edgesync-manager")
	newSyncs := func(id desired.Feed, dirty *dirtySet[desired.SourceID]) *syncReconciler {
		return &syncReconciler{
			Options: o, client: mgr.GetClient(), live: mgr.GetAPIReader(), recorder: recorder, dirty: dirty, feed: id,
			memories: map[desired.SourceID]*syncMemory{},
		}
	}
	syncs, clusterSyncs := newSyncs(desired.ObjectSyncs, o.Trigger.syncs), newSyncs(desired.ClusterObjectSyncs, o.Trigger.clusterSyncs)
	nodes := &edgeNodeReconciler{Options: o, client: mgr.GetClient(), recorder: recorder, memories: map[string]*nodeMemory{}}
	syncs.whereIs, clusterSyncs.whereIs = nodes.whereIs, nodes.whereIs
	followed := []*feed{
		{id: syncs.feed, list: &syncv1alpha1.ObjectSyncList{}, saw: syncs.saw, lost: syncs.lost, news: syncs.news},
		{id: clusterSyncs.feed, list: &syncv1alpha1.ClusterObjectSyncList{}, saw: clusterSyncs.saw, lost: clusterSyncs.lost, news: clusterSyncs.news},
		{id: desired.EdgeNodes, list: &syncv1alpha1.EdgeNodeList{}, saw: nodes.saw, lost: nodes.lost, news: nodes.news},
	}
	if err := errors.Join(
		followed[0].connect(ctx, mgr, &syncv1alpha1.ObjectSync{}),
		followed[1].connect(ctx, mgr, &syncv1alpha1.ClusterObjectSync{}),
		followed[2].connect(ctx, mgr, &syncv1alpha1.EdgeNode{}),
		syncs.setupWithManager(mgr, "objectsync"),
		clusterSyncs.setupWithManager(mgr, "clusterobjectsync"),
		nodes.setupWithManager(mgr),
	); err != nil {
		return fmt.Errorf("set up the reconcilers: %w", err)
	}
	lookAtAll := func() {
		syncs.markAll()
		clusterSyncs.markAll()
		nodes.markUnattended()
	}
	o.Replicas.OnChange(func(_ string, alive bool) {
		if !alive {
			o.unrest.replicaDied(time.Now())
		}
		lookAtAll()
	})
	return mgr.Add(everywhere(func(ctx context.Context) error {
		if !prime(ctx, o.Index, followed) || !wait(ctx, o.Replicas.Synced()) {
			return nil
		}
		o.unrest.begin(time.Now())
		close(o.Primed)
		var following sync.WaitGroup
		for _, f := range followed {
			following.Go(func() { f.follow(ctx, o.Index) })
		}
		if wait(ctx, o.elected) {
			lookAtAll()
		}
		following.Wait()
		return nil
	}))
}

// everywhere is a Runnable of every replica.
type everywhere func(context.Context) error

// Start implements manager.Runnable.
func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everywhere) NeedLeaderElection() bool { return false }

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
		NeedLeaderElection:      ptr.To(false),
		MaxConcurrentReconciles: 4,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
			50*time.Millisecond, 30*time.Second),
	}
}
