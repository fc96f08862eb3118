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
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/testing/agentsim/swarm"
)

// catchUp measures how long nodes take, once they have connected again, to get what has
// changed while the hub was down, and while they were away.
func catchUp(ctx context.Context, b *bench) (err error) {
	nodes := b.scale(100)
	c, err := b.joinOwn(ctx, nodes, crowdOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.leave(ctx, c)) }()
	if err := c.Record(ctx, true); err != nil {
		return err
	}
	hubDown, err := b.catchUpAfter(ctx, c, 1, b.fleet.KillManager, func() error { return b.fleet.StartManager(ctx) })
	if err != nil {
		return fmt.Errorf("while the hub was down: %w", err)
	}
	if _, err := b.quietWrites(ctx); err != nil {
		return err
	}
	away, err := b.catchUpAfter(ctx, c, 2,
		func() error { return c.Disconnect(ctx, 0, nodes) }, func() error { return c.Connect(ctx, 0, nodes) })
	if err != nil {
		return fmt.Errorf("while the nodes were away: %w", err)
	}
	all := slices.Concat(hubDown.caughtUp, away.caughtUp)
	b.add("catchup_p99_ms", quantile(all, 0.99), "ms", settings{
		"nodes": nodes, "per_node": "one update, one deletion", "p50_ms": format(quantile(all, 0.5)), "most": format(quantile(all, 1)),
		"p99_ms_hub_was_down":  format(quantile(hubDown.caughtUp, 0.99)),
		"p99_ms_node_was_away": format(quantile(away.caughtUp, 0.99)),
		"s_hub_start_to_last":  format(hubDown.last.Seconds()),
		"s_connect_to_last":    format(away.last.Seconds()),
		"from":                 "the node has its Welcome", "to": "held by the node in memory; all connect at once",
	})
	return nil
}

// caught is how long after the Welcome each change was there, in milliseconds, and how long
// after the beginning of the return the last.
type caught struct {
	caughtUp []float64
	last     time.Duration
}

// catchUpAfter updates the first object of each node and deletes its round-th while nothing
// gets through.
func (b *bench) catchUpAfter(ctx context.Context, c *crowd, round int, part, rejoin func() error) (r caught, err error) {
	if err := part(); err != nil {
		return r, err
	}
	if _, err := c.await(ctx, "all are away", func(s swarm.Stats) bool { return s.Connected == 0 }); err != nil {
		return r, err
	}
	for node := range c.size {
		if err := b.changeOwn(ctx, nodeName(node), round); err != nil {
			return r, err
		}
	}
	before, err := c.Stats(ctx)
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := rejoin(); err != nil {
		return r, err
	}
	after, err := c.await(ctx, "all have caught up", func(s swarm.Stats) bool { return s.Stored >= before.Stored+2*c.size })
	if err != nil {
		return r, err
	}
	arrivals, err := c.Arrivals(ctx)
	for _, arrival := range arrivals {
		r.caughtUp = append(r.caughtUp, milliseconds(arrival.Stored.Sub(arrival.Connected)))
	}
	r.last = after.StoredAt.Sub(start)
	return r, err
}

func (b *bench) changeOwn(ctx context.Context, node string, round int) error {
	var object corev1.ConfigMap
	if err := b.client.Get(ctx, client.ObjectKey{Namespace: ownNamespace, Name: ownObject(node, 0)}, &object); err != nil {
		return err
	}
	fill(&object)
	if err := b.client.Update(ctx, &object); err != nil {
		return err
	}
	return b.client.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: ownNamespace, Name: ownObject(node, round),
	}})
}
