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
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/edgesync/edgesync/internal/testing/agentsim/swarm"
)

// servingPeriod is how often it is tried whether the hub is there.
const servingPeriod = 2 * time.Millisecond

// restartManager stops the manager, if it runs, and starts it anew.
func (b *bench) restartManager(ctx context.Context) error {
	return errors.Join(b.fleet.StopManager(), b.fleet.StartManager(ctx))
}

// restart measures how long all nodes take to be in sync again when the hub was killed
// and nothing has changed.
func restart(ctx context.Context, b *bench) error {
	const name = "restart"
	const objects = 20
	if err := b.createSharedSync(ctx, name, b.scale(5000), objects); err != nil {
		return err
	}
	for _, size := range []int{100, 1000, 5000} {
		r, err := b.killAndReturn(ctx, b.scale(size), objects)
		if err != nil {
			return fmt.Errorf("restart with %d nodes: %w", size, err)
		}
		b.addReturn(size, r)
	}
	b.addGrowth("restart_insync", "restart_100_insync_s", "restart_1000_insync_s", "storm_5000_insync_s")
	return b.deleteSync(ctx, name)
}

// comeback is what it took until all nodes were in sync after a restart.
type comeback struct {
	nodes, objects   int
	insync, fromKill time.Duration
	fromStart        time.Duration
	puts             float64
	received, sent   int64
	peak             int64
	failures         int
	managerCPU       time.Duration
	// cpu is what all processes have taken since the manager runs.
	cpu settings
}

func (b *bench) killAndReturn(ctx context.Context, size, objects int) (r comeback, err error) {
	c, err := b.startCrowd(ctx, size, crowdOptions{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.leave(ctx, c)) }()
	progress("%d nodes get %d objects each", size, objects)
	if err := c.join(ctx); err != nil {
		return r, err
	}
	if _, err := c.await(ctx, "all have everything", func(s swarm.Stats) bool { return s.Stored == size*objects }); err != nil {
		return r, err
	}
	if _, err := b.quietWrites(ctx); err != nil {
		return r, err
	}
	return b.killManager(ctx, c, comeback{nodes: size, objects: objects})
}

func (b *bench) killManager(ctx context.Context, c *crowd, r comeback) (comeback, error) {
	before, err := c.Stats(ctx)
	if err != nil {
		return r, err
	}
	killed := time.Now()
	if err := b.fleet.KillManager(); err != nil {
		return r, err
	}
	if _, err := c.await(ctx, "all have noticed", func(s swarm.Stats) bool { return s.Connected == 0 }); err != nil {
		return r, err
	}
	started, serving := time.Now(), b.serving(ctx)
	if err := b.fleet.StartManager(ctx); err != nil {
		return r, err
	}
	var after swarm.Stats
	r.cpu, err = b.cpuDuring(c, func() (err error) {
		after, err = c.await(ctx, "all are back", func(s swarm.Stats) bool { return s.InSync == r.nodes })
		return err
	})
	if err != nil {
		return r, err
	}
	metrics, err := b.managerMetrics(ctx)
	if err != nil {
		return r, err
	}
	used, err := usageOf(b.fleet.Manager().PID())
	r.insync = after.Changed.Sub(<-serving)
	r.fromKill, r.fromStart = after.Changed.Sub(killed), after.Changed.Sub(started)
	r.puts = metrics["edgesync_hub_puts_total"]
	r.received, r.sent = after.Received-before.Received, after.Sent-before.Sent
	r.failures = after.Failures - before.Failures
	r.peak, r.managerCPU = used.peak, used.cpu
	return r, err
}

// serving says when the hub answers handshakes: its port is open, and connections wait
// there, before it does.
func (b *bench) serving(ctx context.Context) <-chan time.Time {
	at := make(chan time.Time, 1)
	go func() {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // nothing is said to it
		for ctx.Err() == nil {
			if conn, err := dialer.DialContext(ctx, "tcp", b.fleet.HubAddress()); err == nil {
				at <- time.Now()
				_ = conn.Close()
				return
			}
			time.Sleep(servingPeriod)
		}
	}()
	return at
}

func (b *bench) addReturn(size int, r comeback) {
	prefix := fmt.Sprintf("restart_%d", size)
	if size == 5000 {
		prefix = "storm_5000"
	}
	insync := settings{
		"nodes": r.nodes, "objects_per_node": r.objects, "objects_sent": r.puts,
		"from": "the hub answers a handshake", "to": "the last Bookmark has come",
		"s_since_its_start": format(r.fromStart.Seconds()), "s_since_the_kill": format(r.fromKill.Seconds()),
		"failed_connects": r.failures,
	}
	maps.Copy(insync, r.cpu)
	insync["manager_cpu_s"] = format(r.managerCPU.Seconds()) // from its start on
	b.add(prefix+"_insync_s", r.insync.Seconds(), "s", insync)
	b.add(prefix+"_object_bytes", r.puts*objectBytes, "bytes", settings{"objects_sent": r.puts, "data_bytes": objectBytes})
	b.add(prefix+"_bytes_per_node", float64(r.received+r.sent)/float64(r.nodes), "bytes", settings{
		"received": r.received, "sent": r.sent, "where": "TLS records, both ways, from the open WebSocket on",
	})
	b.add(prefix+"_peak_rss_bytes", float64(r.peak), "bytes", settings{"nodes": r.nodes})
}
