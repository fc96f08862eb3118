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

// Package admission decides whether the bearer of a node's certificate may act as the
// node now. Every replica asks it, for sessions as for everything else a node may do.
package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
)

// Refused is the error for a node that may not act. It tells the operator of the node
// what to do, on one line.
type Refused struct{ Message string }

func (r *Refused) Error() string { return r.Message }

func refuse(format string, args ...any) error {
	return &Refused{Message: fmt.Sprintf(format, args...)}
}

const (
	// cachePatience is how long the cache may take to catch up with the API server, and
	// cachePoll how often it is looked at.
	cachePatience = 5 * time.Second
	cachePoll     = 20 * time.Millisecond

	// refusalMemory is how long a refusal of the API server is believed, so that a node
	// which connects as fast as it can asks nothing of it. maxRefusals are remembered.
	refusalMemory = time.Second
	maxRefusals   = 10_000
)

// Gate admits nodes by their EdgeNodes. It may be used concurrently.
type Gate struct {
	cached, live client.Reader
	refusals     *cache.LRUExpireCache // of *Refused by pki.Node
}

// NewGate makes a Gate. cached may lag behind live, which reads from the API server:
// nobody is refused before live has been asked, at most a second ago, and nobody is
// admitted before cached agrees. So what takes the admission back later is a change that
// cached has yet to see.
func NewGate(cached, live client.Reader) *Gate {
	return &Gate{cached: cached, live: live, refusals: cache.NewLRUExpireCache(maxRefusals)}
}

// Admit returns nil, a *Refused, or another error if it cannot be decided now. It may
// take some seconds if the cache lags.
func (g *Gate) Admit(ctx context.Context, peer pki.Node) error {
	if err := admitFrom(ctx, g.cached, peer); err == nil {
		return nil
	}
	if err := g.askLive(ctx, peer); err != nil {
		return err
	}
	err := wait.PollUntilContextTimeout(ctx, cachePoll, cachePatience, true, func(ctx context.Context) (bool, error) {
		return admitFrom(ctx, g.cached, peer) == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the cache knows the EdgeNode %s as it is: %w", peer.Name, err)
	}
	return nil
}

func (g *Gate) askLive(ctx context.Context, peer pki.Node) error {
	if refused, ok := g.refusals.Get(peer); ok {
		return refused.(*Refused)
	}
	err := admitFrom(ctx, g.live, peer)
	if refused := (*Refused)(nil); errors.As(err, &refused) {
		g.refusals.Add(peer, refused, refusalMemory)
	}
	return err
}

func admitFrom(ctx context.Context, reader client.Reader, peer pki.Node) error {
	node := &syncv1alpha1.EdgeNode{}
	err := reader.Get(ctx, client.ObjectKey{Name: peer.Name}, node)
	if apierrors.IsNotFound(err) {
		return refuse("there is no EdgeNode %s: join the node again", peer.Name)
	}
	if err != nil {
		return fmt.Errorf("look up the EdgeNode %s: %w", peer.Name, err)
	}
	return Check(node, peer)
}

// Check tells whether a certificate that was issued to peer is good for the node as it
// is: nil, or a *Refused. What it looks at of the node is also what mayDiffer compares.
func Check(node *syncv1alpha1.EdgeNode, peer pki.Node) error {
	switch {
	case node.Spec.Revoked:
		return refuse("the EdgeNode %s is revoked", node.Name)
	case !node.DeletionTimestamp.IsZero():
		return refuse("the EdgeNode %s is being deleted", node.Name)
	case !isOrWas(node, peer.UID):
		return refuse("the EdgeNode %s was deleted and made anew since this machine joined: join it again", node.Name)
	case peer.Join < node.Status.Joins:
		return refuse("another machine has joined as %s since this one did: join this one again, under a name of its own", node.Name)
	}
	return nil
}

// isOrWas reports whether uid is that of the node, or the one that it had in another cluster.
func isOrWas(node *syncv1alpha1.EdgeNode, uid string) bool {
	former := node.Annotations[syncv1alpha1.AnnotationFormerUID]
	return types.UID(uid) == node.UID || (former != "" && uid == former)
}
