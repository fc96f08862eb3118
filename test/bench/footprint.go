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
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// agentBinary reports the size of the agent's program.
func agentBinary(_ context.Context, b *bench) error {
	path := filepath.Join(filepath.Dir(b.fleet.Manager().Path), "edge-agent")
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	program, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer program.Close()
	static := !slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	b.add("agent_binary_bytes", float64(info.Size()), "bytes", settings{"static": static})
	return nil
}

// deliveryFootprint counts what the delivery of 1,000 objects costs beside time: writes
// to the API server, memory, and bytes when the node connects again.
func deliveryFootprint(ctx context.Context, b *bench) error {
	const name = "footprint"
	objects := b.count(1000, 50)
	if err := b.createSync(ctx, name); err != nil {
		return err
	}
	if err := b.createObjects(ctx, name, objects); err != nil {
		return err
	}
	proxy, err := linkproxy.Start(b.fleet.HubAddress())
	if err != nil {
		return err
	}
	defer proxy.Close()
	agent, err := b.joinAgent(ctx, name, name, fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
	if err != nil {
		return err
	}
	defer agent.Stop()
	if err := b.countWritesOfDelivery(ctx, agent, name, objects); err != nil {
		return fmt.Errorf("writes to the API server: %w", err)
	}
	if err := b.measureMemory(ctx, agent, objects); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	if err := b.measureReconnect(ctx, agent, proxy, objects); err != nil {
		return fmt.Errorf("reconnect: %w", err)
	}
	return nil
}

// countWritesOfDelivery counts what is written while a node that was away gets its objects.
func (b *bench) countWritesOfDelivery(ctx context.Context, agent *fleet.Agent, name string, objects int) error {
	err := b.awaitStatus(ctx, name, func(s syncv1alpha1.SyncStatus) bool {
		return int(s.Objects) == objects && s.Offline == 1
	})
	if err != nil {
		return err
	}
	writes, err := b.countWrites(ctx, func() error {
		if err := agent.Start(ctx); err != nil {
			return err
		}
		return b.awaitSynced(ctx, name, 1, objects)
	})
	if err != nil {
		return err
	}
	b.addWrites("api_writes_per_delivery", writes, objects, "the objects exist, then the node connects")
	return nil
}

// liveDelivery counts the writes to the API server when a node is connected while 1,000
// objects are made; their creation is not counted.
func liveDelivery(ctx context.Context, b *bench) error {
	const name = "live"
	objects := b.count(1000, 50)
	if err := b.createSync(ctx, name); err != nil {
		return err
	}
	agent, err := b.startAgent(ctx, name, name, fleet.AgentOptions{})
	if err != nil {
		return err
	}
	defer agent.Stop()
	if err := b.awaitSynced(ctx, name, 1, 0); err != nil {
		return err
	}
	start := time.Now()
	writes, err := b.countWrites(ctx, func() error {
		if err := b.createObjects(ctx, name, objects); err != nil {
			return err
		}
		return b.awaitSynced(ctx, name, 1, objects)
	})
	if err != nil {
		return fmt.Errorf("writes to the API server: %w", err)
	}
	writes["POST configmaps"] -= float64(objects)
	b.addWrites("api_writes_per_live_delivery", writes, objects,
		fmt.Sprintf("the node is connected while the objects are made, all within %s", time.Since(start).Round(time.Second)))
	return nil
}

func (b *bench) addWrites(name string, writes map[string]float64, objects int, scenario string) {
	total, list := sum(writes)
	b.add(name, total/float64(objects), "writes", settings{
		"objects": objects, "writes": list, "scenario": scenario,
		"excluded": "leases, which kube-apiserver renews for itself",
	})
}

// countWrites returns the requests that changed something from before do until nothing
// is written any more, by verb and resource.
func (b *bench) countWrites(ctx context.Context, do func() error) (map[string]float64, error) {
	before, err := b.quietWrites(ctx)
	if err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	writes, err := b.quietWrites(ctx)
	for request, count := range before {
		writes[request] -= count
	}
	return writes, err
}

// countAllWrites is countWrites, and likewise the writes to etcd, by operation and resource.
func (b *bench) countAllWrites(ctx context.Context, do func() error) (writes, etcd map[string]float64, err error) {
	before, err := b.apiServerMetrics(ctx)
	if err != nil {
		return nil, nil, err
	}
	if writes, err = b.countWrites(ctx, do); err != nil {
		return nil, nil, err
	}
	after, err := b.apiServerMetrics(ctx)
	etcd = etcdWritesIn(after)
	for operation, count := range etcdWritesIn(before) {
		etcd[operation] -= count
	}
	return writes, etcd, err
}

// etcdWritesIn sums up etcd_requests_total.
func etcdWritesIn(metrics promtext.Series) map[string]float64 {
	writes := map[string]float64{}
	for name, value := range metrics {
		operation, resource := label(name, "operation"), label(name, "resource")
		if strings.HasPrefix(name, "etcd_requests_total{") && resource != "leases" &&
			slices.Contains([]string{"create", "update", "delete"}, operation) {
			writes[operation+" "+resource] += value
		}
	}
	return writes
}

// quietWrites waits until nothing is written, and returns all writes so far.
func (b *bench) quietWrites(ctx context.Context) (map[string]float64, error) {
	quietPeriod := time.Duration(b.count(3, 1)) * time.Second
	var last map[string]float64
	err := await(ctx, quietPeriod, func() (bool, error) {
		metrics, err := b.apiServerMetrics(ctx)
		writes := writesIn(metrics)
		quiet := maps.Equal(writes, last)
		last = writes
		return quiet, err
	})
	return last, err
}

// writesIn sums up apiserver_request_total.
func writesIn(metrics promtext.Series) map[string]float64 {
	writes := map[string]float64{}
	for name, value := range metrics {
		verb, resource := label(name, "verb"), label(name, "resource")
		if !strings.HasPrefix(name, "apiserver_request_total{") || resource == "leases" ||
			!slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}, verb) {
			continue
		}
		if subresource := label(name, "subresource"); subresource != "" {
			resource += "/" + subresource
		}
		writes[verb+" "+resource] += value
	}
	return writes
}

// measureMemory reports what the agent and the manager take once they have settled.
func (b *bench) measureMemory(ctx context.Context, agent *fleet.Agent, objects int) error {
	settle := time.Duration(b.count(30, 1)) * time.Second
	progress("letting the agent settle for %s", settle)
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, process := range []struct {
		name string
		pid  int
	}{{"agent_rss_1000_objects_bytes", agent.PID()}, {"manager_rss_bytes", b.fleet.Manager().PID()}} {
		memory, err := memoryOf(process.pid)
		if err != nil {
			return err
		}
		b.add(process.name, float64(memory["VmRSS"]), "bytes", settings{
			"objects": objects, "data_bytes": objectBytes, "settled_for": settle.String(),
			"RssAnon": memory["RssAnon"], "RssFile": memory["RssFile"], "peak": memory["VmHWM"],
		})
	}
	return nil
}

// memoryOf returns the Vm and Rss fields of /proc/<pid>/status, in bytes.
func memoryOf(pid int) (map[string]int64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	memory := map[string]int64{}
	for _, name := range []string{"VmRSS", "RssAnon", "RssFile", "VmHWM"} {
		text, err := field(path, name)
		if err != nil {
			return nil, err
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, name, err)
		}
		memory[name] = kilobytes << 10
	}
	return memory, nil
}

// measureReconnect cuts the connection and counts what comes down when the agent is back.
func (b *bench) measureReconnect(ctx context.Context, agent *fleet.Agent, proxy *linkproxy.Proxy, objects int) error {
	before, err := b.managerMetrics(ctx)
	if err != nil {
		return err
	}
	connects, down := len(proxy.Accepted()), proxy.Passed(linkproxy.Down)
	proxy.Cut()
	err = await(ctx, 50*time.Millisecond, func() (bool, error) {
		if len(proxy.Accepted()) == connects {
			return false, nil
		}
		status, err := agent.Status(ctx)
		return status.InSync && status.Link.Connected, err
	})
	if err != nil {
		return err
	}
	after, err := b.managerMetrics(ctx)
	if err != nil {
		return err
	}
	b.add("reconnect_unchanged_bytes", float64(proxy.Passed(linkproxy.Down)-down), "bytes", settings{
		"objects": objects, "connections": len(proxy.Accepted()) - connects,
		"objects_sent": after["edgesync_hub_puts_total"] - before["edgesync_hub_puts_total"],
		"direction":    "to the agent, TLS handshake included",
	})
	return nil
}
