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

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/agentsim/swarm"
)

// ownNamespace holds objects of which every node has its own.
const (
	ownNamespace = "own"
	ownObjects   = 10
)

// ensureOwn makes, for each of the first nodes of all, an ObjectSync of its own and
// objects that no other node gets. They stay for the benchmarks that follow.
func (b *bench) ensureOwn(ctx context.Context, nodes int) error {
	if err := b.createNodes(ctx, nodes); err != nil {
		return err
	}
	if b.own >= nodes {
		return nil
	}
	if b.own == 0 {
		if err := b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ownNamespace}}); err != nil {
			return err
		}
	}
	progress("creating %d objects for each of %d nodes", ownObjects, nodes-b.own)
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for node := b.own; node < nodes; node++ {
		group.Go(func() error { return b.createOwn(creating, nodeName(node)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.own = nodes
	_, err := b.quietWrites(ctx)
	return err
}

func (b *bench) createOwn(ctx context.Context, node string) error {
	for i := range ownObjects {
		object := newConfigMap(ownNamespace, ownObject(node, i))
		object.Labels = map[string]string{"node": node}
		if err := b.client.Create(ctx, object); err != nil {
			return err
		}
	}
	return b.client.Create(ctx, &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: node},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{
				APIVersion: "v1", Kind: "ConfigMap",
				LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"node": node}},
			},
			NodeName: node,
		},
	})
}

func ownObject(node string, i int) string { return fmt.Sprintf("%s-%02d", node, i) }

// joinOwn has a crowd get the objects of its nodes, and waits until it is quiet.
func (b *bench) joinOwn(ctx context.Context, nodes int, options crowdOptions) (*crowd, error) {
	if err := b.ensureOwn(ctx, nodes); err != nil {
		return nil, err
	}
	c, err := b.startCrowd(ctx, nodes, options)
	if err != nil {
		return nil, err
	}
	if _, err = b.connectOwn(ctx, c); err == nil {
		_, err = b.quietWrites(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// connectOwn has all of a crowd connect, and returns when all have had everything.
func (b *bench) connectOwn(ctx context.Context, c *crowd) (time.Time, error) {
	if err := c.Connect(ctx, 0, c.size); err != nil {
		return time.Time{}, err
	}
	stats, err := c.await(ctx, "all have their own objects", func(s swarm.Stats) bool {
		return s.InSync == c.size && s.Stored >= c.size*ownObjects
	})
	if stats.Changed.After(stats.StoredAt) {
		return stats.Changed, err
	}
	return stats.StoredAt, err
}

// firstContact measures how long nodes take that all connect at once and hold nothing.
func firstContact(ctx context.Context, b *bench) error {
	for _, size := range []int{10, 100, 1000} {
		if err := b.firstContactOf(ctx, size); err != nil {
			return fmt.Errorf("%d nodes: %w", size, err)
		}
	}
	b.addGrowth("fleet_x10", "fleet_10x10_s", "fleet_100x10_s", "fleet_1000x10_s")
	return nil
}

func (b *bench) firstContactOf(ctx context.Context, size int) (err error) {
	nodes := b.scale(size)
	if err := b.ensureOwn(ctx, nodes); err != nil {
		return err
	}
	c, err := b.startCrowd(ctx, nodes, crowdOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.leave(ctx, c)) }()
	var start, end time.Time
	taken, err := b.cpuDuring(c, func() error {
		start = time.Now()
		end, err = b.connectOwn(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	conditions := settings{
		"nodes": nodes, "objects_per_node": ownObjects, "data_bytes": objectBytes, "objectsyncs": nodes,
		"objects_are": "each node's own", "from": "all begin to connect", "to": "the last Bookmark or object has come",
	}
	maps.Copy(conditions, taken)
	b.add(fmt.Sprintf("fleet_%dx10_s", size), end.Sub(start).Seconds(), "s", conditions)
	return nil
}
