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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

// valueBytes is the size of one value of a ConfigMap of many keys.
const valueBytes = 64

// wireBytes counts what one changed key costs on the wire, with the real edge-agent.
func wireBytes(ctx context.Context, b *bench) error {
	const name = "wire"
	proxy, err := linkproxy.Start(b.fleet.HubAddress())
	if err != nil {
		return err
	}
	defer proxy.Close()
	if err := b.createSync(ctx, name); err != nil {
		return err
	}
	agent, err := b.startAgent(ctx, name, name, fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
	if err != nil {
		return err
	}
	defer agent.Stop()
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1kb", 1 << 10}, {"10kb", 10 << 10}, {"100kb", 100 << 10}} {
		if err := b.countWireBytes(ctx, proxy, size.name, size.bytes/valueBytes); err != nil {
			return err
		}
	}
	b.addGrowth("delta_wire_bytes", "delta_1kb_wire_bytes", "delta_10kb_wire_bytes", "delta_100kb_wire_bytes")
	return nil
}

// countWireBytes creates a ConfigMap of many keys, and then changes one of them again and again.
func (b *bench) countWireBytes(ctx context.Context, proxy *linkproxy.Proxy, name string, keys int) error {
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "wire", Name: "settings-" + name, Labels: map[string]string{"bench": "wire"}},
		Data:       map[string]string{},
	}
	for i := range keys {
		configMap.Data[fmt.Sprintf("key-%04d", i)] = randomText()[:valueBytes-8]
	}
	full, _, err := b.passedDuring(ctx, proxy, func() error { return b.client.Create(ctx, configMap) })
	if err != nil {
		return err
	}
	var down, up []int
	for i := range b.count(10, 3) {
		configMap.Data[fmt.Sprintf("key-%04d", i*7%keys)] = randomText()[:valueBytes-8]
		d, u, err := b.passedDuring(ctx, proxy, func() error { return b.client.Update(ctx, configMap) })
		if err != nil {
			return err
		}
		down, up = append(down, d), append(up, u)
	}
	conditions := settings{
		"changes": len(down), "least": quantile(down, 0), "most": quantile(down, 1), "keys": keys, "new_value_bytes": valueBytes - 8,
		"where": "TCP payload, with TLS and WebSocket", "first_delivery_in_full": full,
	}
	b.add("delta_"+name+"_wire_bytes", float64(quantile(down, 0.5)), "bytes", conditions)
	if name == "1kb" {
		b.add("ack_wire_bytes", float64(quantile(up, 0.5)), "bytes", settings{
			"changes": len(up), "least": quantile(up, 0), "most": quantile(up, 1),
			"what": "all that the agent sends for one update: the ack and the result of applying it",
		})
	}
	return nil
}

func randomText() string {
	var configMap corev1.ConfigMap
	return strings.Clone(fill(&configMap))
}

// passedDuring counts the bytes of one change, until the node has applied it.
func (b *bench) passedDuring(ctx context.Context, proxy *linkproxy.Proxy, change func() error) (down, up int, err error) {
	before, err := b.managerMetrics(ctx)
	if err != nil {
		return 0, 0, err
	}
	downBefore, upBefore := proxy.Passed(linkproxy.Down), proxy.Passed(linkproxy.Up)
	if err := change(); err != nil {
		return 0, 0, err
	}
	if _, err := b.awaitCounter(ctx, appliedMetric, before[appliedMetric]+1); err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, 100*time.Millisecond); err != nil { // for a Bookmark
		return 0, 0, err
	}
	return int(proxy.Passed(linkproxy.Down) - downBefore), int(proxy.Passed(linkproxy.Up) - upBefore), nil
}
