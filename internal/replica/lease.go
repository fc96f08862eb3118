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

package replica

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=system,resources=leases,verbs=get;list;watch;create;update;delete

// requestTimeout bounds one request about a Lease.
const requestTimeout = 5 * time.Second

// renewUntil renews the Lease until ctx is done, and then deletes it.
func (g *Group) renewUntil(ctx context.Context) {
	ticker := time.NewTicker(g.options.renewInterval)
	defer ticker.Stop()
	var (
		lease *coordinationv1.Lease
		err   error
	)
	for {
		failedBefore := err != nil
		if lease, err = g.renew(ctx, lease); err != nil && !failedBefore && ctx.Err() == nil {
			g.options.Log.Error(err, "Cannot tell the other replicas that this one lives; tries again")
		}
		g.forget(ctx)
		select {
		case <-ctx.Done():
			g.resign(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
		}
	}
}

// renew writes the Lease; lease is as it was written last, or nil to take it over. It returns nil
// with an error.
func (g *Group) renew(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if lease == nil {
		return g.acquire(ctx)
	}
	lease = lease.DeepCopy()
	lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
	written, err := g.options.Leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("renew the Lease %s: %w", lease.Name, err)
	}
	return written, nil
}

// acquire makes the Lease, or takes it over from the process that had the name before.
func (g *Group) acquire(ctx context.Context) (*coordinationv1.Lease, error) {
	name := leasePrefix + g.options.Name
	lease, err := g.options.Leases.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
		g.take(lease)
		lease, err = g.options.Leases.Create(ctx, lease, metav1.CreateOptions{})
	case err == nil:
		if holder := ptr.Deref(lease.Spec.HolderIdentity, ""); holder != g.identity {
			g.options.Log.Info("Takes over the name of another process, which should have ended: names of replicas must be unique",
				"lease", name, "from", holder)
			lease.Spec.LeaseTransitions = ptr.To(ptr.Deref(lease.Spec.LeaseTransitions, 0) + 1)
		}
		g.take(lease)
		lease, err = g.options.Leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("take the Lease %s: %w", name, err)
	}
	return lease, nil
}

// take has the Lease say that it is this replica's.
func (g *Group) take(lease *coordinationv1.Lease) {
	now := metav1.NowMicro()
	metav1.SetMetaDataLabel(&lease.ObjectMeta, leaseLabel, "true")
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, addressAnnotation, g.options.Address)
	if ptr.Deref(lease.Spec.HolderIdentity, "") != g.identity {
		lease.Spec.HolderIdentity, lease.Spec.AcquireTime = &g.identity, &now
	}
	lease.Spec.RenewTime = &now
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(patience * renewInterval / time.Second))
}

// resign deletes the Lease, unless another process has taken it over.
func (g *Group) resign(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name := leasePrefix + g.options.Name
	lease, err := g.options.Leases.Get(ctx, name, metav1.GetOptions{})
	if err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") == g.identity {
		err = g.remove(ctx, name, lease.ResourceVersion)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		g.options.Log.Error(err, "Cannot tell the other replicas that this one shuts down: they find out", "lease", name)
	}
}

// forget deletes the Leases of those that have been dead for long. All replicas do so, and one
// succeeds.
func (g *Group) forget(ctx context.Context) {
	g.mu.Lock()
	forgotten := g.view.forgotten()
	g.mu.Unlock()
	for name, version := range forgotten {
		_ = g.remove(ctx, name, version)
	}
}

func (g *Group) remove(ctx context.Context, name, version string) error {
	return g.options.Leases.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}})
}

// watch follows the Leases until ctx is done.
func (g *Group) watch(ctx context.Context) {
	selected := func(o metav1.ListOptions) metav1.ListOptions {
		o.LabelSelector = leaseLabel
		return o
	}
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return g.options.Leases.List(ctx, selected(o))
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
				return g.options.Leases.Watch(ctx, selected(o))
			},
		},
		ObjectType: &coordinationv1.Lease{},
		Handler:    g.handler(),
	})
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
			close(g.synced)
		}
	}()
	controller.RunWithContext(ctx)
}
