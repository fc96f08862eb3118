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

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// updatePeriod is the time from one update to the next.
const updatePeriod = 100 * time.Millisecond

// updateLatency measures how long the change of one object of one node takes to get there,
// while many nodes are connected.
func updateLatency(ctx context.Context, b *bench) error {
	for _, size := range []int{10, 100, 1000} {
		if err := b.updateLatencyAmong(ctx, size); err != nil {
			return fmt.Errorf("%d nodes: %w", size, err)
		}
	}
	b.addGrowth("update_arrival_p50", "update_10_nodes_arrival_p50_ms", "update_arrival_p50_ms", "update_1000_nodes_arrival_p50_ms")
	b.addGrowth("update_arrival_p99", "update_10_nodes_arrival_p99_ms", "update_arrival_p99_ms", "update_1000_nodes_arrival_p99_ms")
	return nil
}

func (b *bench) updateLatencyAmong(ctx context.Context, size int) (err error) {
	nodes := b.scale(size)
	c, err := b.joinOwn(ctx, nodes, crowdOptions{fsync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.leave(ctx, c)) }()
	var l latencies
	taken, err := b.cpuDuring(c, func() error {
		l, err = b.updateForAWhile(ctx, c, b.updateCount(size), func(i int) string {
			return ownObject(nodeName(i%nodes), i/nodes%ownObjects)
		})
		return err
	})
	if err != nil {
		return err
	}
	taken["nodes"], taken["objectsyncs"], taken["gets_each_update"] = nodes, nodes, "one node"
	b.addUpdateLatency(size, l, taken)
	return nil
}

// updateCount: a minute of updates, but for the few nodes that only show how it grows.
func (b *bench) updateCount(size int) int {
	if size < 100 {
		return b.count(100, 5)
	}
	return b.count(600, 10)
}

// latencies are those of updates since the API server's answers, in milliseconds.
type latencies struct{ arrived, stored []float64 }

// updateForAWhile updates objects of ownNamespace, ten a second, and waits for all of them.
func (b *bench) updateForAWhile(ctx context.Context, c *crowd, updates int, object func(i int) string) (l latencies, err error) {
	progress("updating %d objects, %s after %s", updates, updatePeriod, updatePeriod)
	if err := c.Record(ctx, true); err != nil {
		return l, err
	}
	answers, err := b.updateOwn(ctx, updates, object)
	if err != nil {
		return l, err
	}
	err = await(ctx, crowdPeriod, func() (bool, error) {
		arrivals, err := c.Arrivals(ctx)
		for _, arrival := range arrivals {
			if answered, ours := answers[arrival.Version]; ours { // a deletion of before may come late
				l.arrived = append(l.arrived, milliseconds(arrival.Arrived.Sub(answered)))
				l.stored = append(l.stored, milliseconds(arrival.Stored.Sub(answered)))
			}
		}
		return len(l.arrived) == updates, err
	})
	if err != nil {
		return l, fmt.Errorf("%d of %d updates have arrived: %w", len(l.arrived), updates, err)
	}
	return l, c.Record(ctx, false)
}

// updateOwn returns when each version was answered for.
func (b *bench) updateOwn(ctx context.Context, updates int, object func(i int) string) (map[string]time.Time, error) {
	watch := &stopwatch{}
	api, err := b.timedClient(watch)
	if err != nil {
		return nil, err
	}
	answers := map[string]time.Time{}
	ticker := time.NewTicker(updatePeriod)
	defer ticker.Stop()
	for i := range updates {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var configMap corev1.ConfigMap
		if err := api.Get(ctx, client.ObjectKey{Namespace: ownNamespace, Name: object(i)}, &configMap); err != nil {
			return nil, err
		}
		fill(&configMap)
		if err := api.Update(ctx, &configMap); err != nil {
			return nil, err
		}
		answers[configMap.ResourceVersion] = watch.answered
	}
	return answers, nil
}

func (b *bench) addUpdateLatency(size int, l latencies, taken settings) {
	arrival, persistedName := fmt.Sprintf("update_%d_nodes_arrival", size), fmt.Sprintf("update_%d_nodes_persisted", size)
	switch size {
	case 100:
		arrival = "update_arrival"
	case 1000:
		persistedName = "update_persisted"
	}
	for _, figure := range []struct {
		name   string
		values []float64
		to     string
	}{
		{arrival, l.arrived, "the frame is read; negative when it overtakes the answer"},
		{persistedName, l.stored, "synced in a file that all agents share"},
	} {
		conditions := settings{
			"updates": len(figure.values), "data_bytes": objectBytes, "period": updatePeriod.String(),
			"least": format(quantile(figure.values, 0)), "most": format(quantile(figure.values, 1)),
			"from": "the answer's headers are read", "to": figure.to,
		}
		maps.Copy(conditions, taken)
		b.add(figure.name+"_p50_ms", quantile(figure.values, 0.5), "ms", conditions)
		b.add(figure.name+"_p99_ms", quantile(figure.values, 0.99), "ms", conditions)
	}
}

// stuckObject measures whether other objects of a node wait for one that it never
// acknowledges.
func stuckObject(ctx context.Context, b *bench) (err error) {
	node := nodeName(0)
	c, err := b.joinOwn(ctx, 1, crowdOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.leave(ctx, c)) }()
	others := func(i int) string { return ownObject(node, 1+i%(ownObjects-1)) }
	without, err := b.updateForAWhile(ctx, c, b.count(100, 5), others)
	if err != nil {
		return err
	}
	if err := c.Ignore(ctx, ownObject(node, 0)); err != nil {
		return err
	}
	if _, err := b.updateOwn(ctx, 1, func(int) string { return ownObject(node, 0) }); err != nil {
		return err
	}
	with, err := b.updateForAWhile(ctx, c, b.count(200, 5), others)
	if err != nil {
		return err
	}
	b.add("stuck_object_others_p99_ms", quantile(with.arrived, 0.99), "ms", settings{
		"updates": len(with.arrived), "period": updatePeriod.String(), "p50_ms": format(quantile(with.arrived, 0.5)),
		"most": format(quantile(with.arrived, 1)), "p99_ms_with_nothing_stuck": format(quantile(without.arrived, 0.99)),
		"from": "the answer's headers are read", "to": "the frame is read",
	})
	return nil
}
