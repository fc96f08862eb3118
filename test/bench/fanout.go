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
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/agentsim/swarm"
)

// createSharedSync makes objects that belong on the first nodes of all.
func (b *bench) createSharedSync(ctx context.Context, name string, nodes, objects int) error {
	if err := b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		return err
	}
	if err := b.createObjects(ctx, name, objects); err != nil {
		return err
	}
	return b.client.Create(ctx, &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "all"},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{
				APIVersion: "v1", Kind: "ConfigMap",
				LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"bench": name}},
			},
			NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{amongLabel(nodes): "true"}},
		},
	})
}

// deleteSync takes the ObjectSyncs and ConfigMaps of a namespace away.
func (b *bench) deleteSync(ctx context.Context, name string) error {
	err := b.client.DeleteAllOf(ctx, &syncv1alpha1.ObjectSync{}, client.InNamespace(name))
	if err != nil {
		return err
	}
	err = await(ctx, 100*time.Millisecond, func() (bool, error) {
		var left syncv1alpha1.ObjectSyncList
		err := b.client.List(ctx, &left, client.InNamespace(name))
		return len(left.Items) == 0, err
	})
	return errors.Join(err, b.client.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(name)))
}

// fanout measures how long one change of one object takes to get to all nodes.
func fanout(ctx context.Context, b *bench) error {
	for _, size := range []int{50, 500, 5000} {
		if err := b.fanoutTo(ctx, size); err != nil {
			return fmt.Errorf("to %d nodes: %w", size, err)
		}
	}
	b.addGrowth("fanout_last", "fanout_50_last_ms", "fanout_500_last_ms", "fanout_5000_last_ms")
	return nil
}

func (b *bench) fanoutTo(ctx context.Context, size int) (err error) {
	nodes := b.scale(size)
	name := fmt.Sprintf("fanout-%d", size)
	if err := b.createSharedSync(ctx, name, nodes, 1); err != nil {
		return err
	}
	c, err := b.startCrowd(ctx, nodes, crowdOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.leave(ctx, c), b.deleteSync(ctx, name)) }()
	if err := c.join(ctx); err != nil {
		return err
	}
	if err := c.Record(ctx, true); err != nil {
		return err
	}
	var spreads []spread
	var taken settings
	writes, etcd, err := b.countAllWrites(ctx, func() error {
		var err error
		taken, err = b.cpuDuring(c, func() error {
			spreads, err = b.changeRepeatedly(ctx, c, name, nodes)
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	b.addFanout(size, spreads, taken)
	b.addFanoutWrites(size, len(spreads), writes, etcd)
	return nil
}

// spread is when a change was at the nodes, since the API server's answer.
type spread struct{ first, median, last float64 }

func (b *bench) changeRepeatedly(ctx context.Context, c *crowd, name string, nodes int) ([]spread, error) {
	watch := &stopwatch{}
	api, err := b.timedClient(watch)
	if err != nil {
		return nil, err
	}
	var object corev1.ConfigMap
	if err := api.Get(ctx, client.ObjectKey{Namespace: name, Name: "object-0000"}, &object); err != nil {
		return nil, err
	}
	var spreads []spread
	for range b.count(5, 2) {
		before, err := c.Stats(ctx)
		if err != nil {
			return nil, err
		}
		fill(&object)
		if err := api.Update(ctx, &object); err != nil {
			return nil, err
		}
		answered := watch.answered
		if _, err := c.await(ctx, "all have the change", func(s swarm.Stats) bool { return s.Stored == before.Stored+nodes }); err != nil {
			return nil, err
		}
		arrivals, err := c.Arrivals(ctx)
		if err != nil {
			return nil, err
		}
		spreads = append(spreads, spreadOf(arrivals, answered))
		if err := pause(ctx, time.Duration(b.count(2000, 100))*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return spreads, nil
}

func spreadOf(arrivals []swarm.Arrival, since time.Time) spread {
	times := make([]float64, len(arrivals))
	for i, arrival := range arrivals {
		times[i] = milliseconds(arrival.Stored.Sub(since))
	}
	return spread{quantile(times, 0), quantile(times, 0.5), quantile(times, 1)}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (b *bench) addFanout(size int, spreads []spread, taken settings) {
	for _, figure := range []struct {
		name string
		of   func(spread) float64
	}{
		{"first", func(s spread) float64 { return s.first }},
		{"median", func(s spread) float64 { return s.median }},
		{"last", func(s spread) float64 { return s.last }},
	} {
		var all []float64
		for _, s := range spreads {
			all = append(all, figure.of(s))
		}
		conditions := settings{
			"nodes": b.scale(size), "changes": len(all), "data_bytes": objectBytes, "of_changes": "median",
			"least": format(quantile(all, 0)), "most": format(quantile(all, 1)),
			"from": "the answer's headers are read", "to": "held by the node in memory, before its ack",
		}
		maps.Copy(conditions, taken)
		b.add(fmt.Sprintf("fanout_%d_%s_ms", size, figure.name), quantile(all, 0.5), "ms", conditions)
	}
}

func (b *bench) addFanoutWrites(size, changes int, writes, etcd map[string]float64) {
	writes["PUT configmaps"] -= float64(changes)
	nodes := b.scale(size)
	deliveries := float64(nodes * changes)
	name := fmt.Sprintf("fanout_%d_api_writes_per_delivery", size)
	if size == 5000 {
		name = "fanout_api_writes_per_delivery"
	}
	total, list := sum(writes)
	etcdTotal, etcdList := sum(etcd)
	b.add(name, total/deliveries, "writes", settings{
		"nodes": nodes, "changes": changes, "writes": list, "excluded": "the changes themselves, leases",
	})
	b.add(strings.Replace(name, "api", "etcd", 1), etcdTotal/deliveries, "writes", settings{
		"nodes": nodes, "changes": changes, "writes": etcdList, "included": "the changes themselves",
	})
}

// sum adds up counts, and lists those that are not 0.
func sum(counts map[string]float64) (total float64, list string) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] != 0 {
			total += counts[name]
			parts = append(parts, fmt.Sprintf("%g %s", counts[name], name))
		}
	}
	return total, strings.Join(parts, ", ")
}
