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

// Package replica lets the replicas of a manager know of each other: each of them renews a
// Lease, and watches those of the others. That is all that they have in common beyond the
// objects of the API: see docs/adr/0011-replicas.md.
package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	coordinationv1 "k8s.io/api/coordination/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	// renewInterval is how often a Lease is renewed, and patience how many renewals of its own
	// a replica lets pass without one of another: with the next, 15 to 18 seconds after the
	// last of the other, it takes that for dead.
	renewInterval = 3 * time.Second
	patience      = 5
	// remembrance is the same for the Lease of a dead replica, which is then deleted. It is
	// an hour, in which somebody may still want to see which replicas there were.
	remembrance = 1200

	// leasePrefix begins the name of every Lease, and the name of the replica ends it.
	leasePrefix = "edgesync-replica-"
	// leaseLabel is on every Lease.
	leaseLabel = "sync.edgesync.io/replica"
	// addressAnnotation is where the others ask the replica what its nodes hold, as host:port.
	addressAnnotation = "sync.edgesync.io/address"

	// MaxNameLength is the most characters of the name of a replica.
	MaxNameLength = 100
)

// FieldManager is the field manager of what only the replica of that name writes.
func FieldManager(name string) string { return leasePrefix + name }

// Options say who a replica is; all are required but Address.
type Options struct {
	// Leases are those of the manager's namespace.
	Leases coordinationv1client.LeaseInterface
	// Name is unique among the replicas, a DNS subdomain of at most MaxNameLength characters.
	Name string
	// Address is where other replicas ask this one what its nodes hold, as host:port.
	Address string
	Log     logr.Logger

	renewInterval time.Duration
}

// Group is the replicas of a manager, as one of them sees the others. It is a manager Runnable
// that runs in every replica. Its methods may be called concurrently.
type Group struct {
	options  Options
	identity string
	synced   chan struct{}

	mu        sync.Mutex
	view      view
	observers []func(name string, alive bool)
}

// New makes a Group, which knows nobody until it is started.
func New(o Options) (*Group, error) {
	if o.Leases == nil || o.Name == "" || len(o.Name) > MaxNameLength {
		return nil, errors.New("a replica needs leases and a name that is not too long")
	}
	if o.renewInterval == 0 {
		o.renewInterval = renewInterval
	}
	identity := o.Name + "_" + uuid.NewString()
	return &Group{options: o, identity: identity, synced: make(chan struct{}), view: newView(o.Name, identity)}, nil
}

// OnChange has observer called when another replica comes or has died. It must be called
// before Start, and observer must not block.
func (g *Group) OnChange(observer func(name string, alive bool)) {
	g.observers = append(g.observers, observer)
}

// Synced is closed once the replicas that exist at the start are known: before that every other
// one seems dead.
func (g *Group) Synced() <-chan struct{} { return g.synced }

// Alive reports whether the replica lives, as far as can be told: it has renewed its Lease while
// this one has renewed its own some times. So nobody dies of an API server that is away, nor of
// clocks that differ. This replica is always alive.
func (g *Group) Alive(name string) bool {
	if name == g.options.Name {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	peer := g.view.peers[name]
	return peer != nil && peer.alive
}

// Address is where another replica that lives is asked what its nodes hold, as host:port. It is false
// if the replica does not live, or has not said.
func (g *Group) Address(name string) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	peer := g.view.peers[name]
	if peer == nil || !peer.alive || peer.address == "" {
		return "", false
	}
	return peer.address, true
}

// NeedLeaderElection is false: every replica shows that it lives.
func (*Group) NeedLeaderElection() bool { return false }

// Start renews the Lease and watches the others until ctx is done, and then deletes the Lease:
// whoever shuts down need not be waited for.
func (g *Group) Start(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { g.watch(ctx) })
	g.renewUntil(ctx)
	running.Wait()
	return nil
}

// handler is told of each Lease as it changes.
func (g *Group) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { g.saw(obj, (*view).see) },
		UpdateFunc: func(_, obj any) { g.saw(obj, (*view).see) },
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			g.saw(obj, (*view).lose)
		},
	}
}

func (g *Group) saw(obj any, look func(*view, *coordinationv1.Lease) []change) {
	lease, ok := obj.(*coordinationv1.Lease)
	if !ok {
		return
	}
	g.mu.Lock()
	changes := look(&g.view, lease)
	g.mu.Unlock()
	for _, c := range changes {
		g.options.Log.Info("Another replica has changed", "replica", c.name, "alive", c.alive)
		for _, observe := range g.observers {
			observe(c.name, c.alive)
		}
	}
}
