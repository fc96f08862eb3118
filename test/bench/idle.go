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
	"fmt"
	"time"
)

// footing is what the manager takes at some number of idle sessions.
type footing struct {
	sessions                     int
	rss, heap, stack, goroutines float64
}

// idle measures what connected nodes cost that have nothing to do and nothing to hold.
// Each step also creates its EdgeNodes, so that these count too.
func idle(ctx context.Context, b *bench) error {
	var footings []footing
	for _, size := range []int{0, 1000, 5000, 10_000} {
		if size > max(5000, b.mostIdle) {
			break
		}
		footing, err := b.footingAt(ctx, size)
		if err != nil {
			return fmt.Errorf("%d idle nodes: %w", size, err)
		}
		footings = append(footings, footing)
	}
	b.addSlopes(footings)
	return nil
}

// footingAt has that many nodes connect to a manager that has just started.
func (b *bench) footingAt(ctx context.Context, size int) (f footing, err error) {
	nodes := b.scale(size)
	c, err := b.startCrowd(ctx, nodes, crowdOptions{})
	if err != nil {
		return f, err
	}
	defer func() {
		if closeErr := c.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := b.restartManager(ctx); err != nil {
		return f, err
	}
	if err := c.join(ctx); err != nil {
		return f, err
	}
	if _, err := b.quietWrites(ctx); err != nil {
		return f, err
	}
	// The runtime gives freed memory back within some minutes.
	settle := time.Duration(b.count(45, 1)) * time.Second
	progress("letting %d sessions rest for %s", size, settle)
	if err := pause(ctx, settle); err != nil {
		return f, err
	}
	if size == 1000 {
		if err := b.measureIdleCPU(ctx, c); err != nil {
			return f, err
		}
	}
	return b.footing(ctx, size, nodes)
}

func (b *bench) measureIdleCPU(ctx context.Context, c *crowd) error {
	period := time.Duration(b.count(60, 2)) * time.Second
	before, err := cpuOf(b.fleet.Manager().PID())
	if err != nil {
		return err
	}
	taken, err := b.cpuDuring(c, func() error { return pause(ctx, period) })
	if err != nil {
		return err
	}
	after, err := cpuOf(b.fleet.Manager().PID())
	if err != nil {
		return err
	}
	perMinute := (after - before).Seconds() * 60 / period.Seconds()
	taken["period"] = period.String()
	taken["sessions"] = c.size
	taken["cpu_s_per_node_hour"] = format(perMinute * 60 / float64(c.size))
	b.add("idle_1000_cpu_s_per_min", perMinute, "s", taken)
	return nil
}

func (b *bench) footing(ctx context.Context, size, sessions int) (footing, error) {
	metrics, err := b.managerMetrics(ctx)
	if err != nil {
		return footing{}, err
	}
	if connected := int(metrics["edgesync_hub_sessions"]); connected != sessions {
		return footing{}, fmt.Errorf("%d nodes are connected instead of %d", connected, sessions)
	}
	used, err := usageOf(b.fleet.Manager().PID())
	if err != nil {
		return footing{}, err
	}
	f := footing{
		sessions: sessions, rss: float64(used.rss),
		heap: metrics["go_memstats_heap_inuse_bytes"], stack: metrics["go_memstats_stack_inuse_bytes"],
		goroutines: metrics["go_goroutines"],
	}
	b.add(fmt.Sprintf("idle_%d_rss_bytes", size), f.rss, "bytes", settings{
		"sessions": sessions, "peak": used.peak, "goroutines": f.goroutines,
		"heap_inuse": int64(f.heap), "heap_alloc": int64(metrics["go_memstats_heap_alloc_bytes"]),
		"heap_idle_not_released": int64(metrics["go_memstats_heap_idle_bytes"] - metrics["go_memstats_heap_released_bytes"]),
		"stack_inuse":            int64(f.stack), "gc_runs": metrics["go_gc_duration_seconds_count"],
	})
	return f, nil
}

// addSlopes adds what a node takes, between the first and the last number of sessions
// that are not 0, and how that grows.
func (b *bench) addSlopes(footings []footing) {
	none, first, last := footings[0], footings[1], footings[len(footings)-1]
	slope := func(from, to footing, of func(footing) float64) float64 {
		return (of(to) - of(from)) / float64(to.sessions-from.sessions)
	}
	rss := func(f footing) float64 { return f.rss }
	goroutines := func(f footing) float64 { return f.goroutines }
	between := fmt.Sprintf("%d to %d sessions", first.sessions, last.sessions)
	b.add("idle_rss_per_node_bytes", slope(first, last, rss), "bytes", settings{
		"slope": between, "its_edgenode_included": true,
		"slope_from_0_to_first": int64(slope(none, first, rss)),
		"heap_inuse_per_node":   int64(slope(first, last, func(f footing) float64 { return f.heap })),
		"stack_inuse_per_node":  int64(slope(first, last, func(f footing) float64 { return f.stack })),
		"rss_growth_at_10x":     format(last.rss / first.rss),
	})
	b.add("idle_goroutines_per_node", slope(first, last, goroutines), "goroutines", settings{"slope": between})
}
