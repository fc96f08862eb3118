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

	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
	"github.com/edgesync/edgesync/internal/testing/promtext"
)

const (
	// farDelay is the delay of each way to a node that is far away.
	farDelay = 50 * time.Millisecond
	// scrapePeriod is how often the manager's counters are read: figures are too
	// large by this at most, and the time of a scrape.
	scrapePeriod = 20 * time.Millisecond
)

// The manager's counters that tell how far a delivery is.
const (
	persistedMetric = "edgesync_hub_persisted_total"
	appliedMetric   = "the results applied and done"
)

// progressOf is one of these counters. Nodes say in either of two ways that they have
// applied something.
func progressOf(metrics promtext.Series, counter string) float64 {
	if counter == appliedMetric {
		return metrics[`edgesync_hub_results_total{state="applied"}`] + metrics[`edgesync_hub_results_total{state="done"}`]
	}
	return metrics[counter]
}

// bulkDelivery measures how long a new node takes to get many objects, from its connect
// to the last ack and the last result that the manager has received.
func bulkDelivery(ctx context.Context, b *bench) error {
	const name = "bulk"
	objects := b.count(2000, 50)
	if err := b.createSync(ctx, name); err != nil {
		return err
	}
	if err := b.createObjects(ctx, name, objects); err != nil {
		return err
	}
	for _, delay := range []time.Duration{farDelay, 0} {
		if err := b.deliverRepeatedly(ctx, name, objects, delay); err != nil {
			return fmt.Errorf("delivery of %d objects with %s each way: %w", objects, delay, err)
		}
	}
	b.addRatio("bulk_2000_50ms_over_0ms_applied_ratio", "bulk_2000_50ms_applied_s", "bulk_2000_0ms_applied_s")
	return nil
}

// deliverRepeatedly reports the medians over some nodes.
func (b *bench) deliverRepeatedly(ctx context.Context, name string, objects int, delay time.Duration) error {
	var persisted, applied []float64
	for run := range b.count(5, 1) {
		progress("delivering %d objects with %s each way", objects, delay)
		node := fmt.Sprintf("%s-%d-%d", name, delay.Milliseconds(), run)
		d, err := b.deliver(ctx, name, node, objects, delay)
		if err != nil {
			return err
		}
		persisted = append(persisted, d.persisted.Seconds())
		applied = append(applied, d.applied.Seconds())
	}
	conditions := func(all []float64) settings {
		return settings{
			"objects": objects, "data_bytes": objectBytes, "delay_each_way": delay.String(),
			"runs":   len(all),
			"least":  format(quantile(all, 0)),
			"most":   format(quantile(all, 1)),
			"method": fmt.Sprintf("from the accept at the proxy until the manager's counters say so, read every %s", scrapePeriod),
		}
	}
	prefix := fmt.Sprintf("bulk_2000_%dms_", delay.Milliseconds())
	b.add(prefix+"persisted_s", quantile(persisted, 0.5), "s", conditions(persisted))
	b.add(prefix+"applied_s", quantile(applied, 0.5), "s", conditions(applied))
	return nil
}

// delivery is how long it took, from the connect, until everything was so.
type delivery struct{ persisted, applied time.Duration }

// deliver starts the agent of a new node behind a proxy.
func (b *bench) deliver(ctx context.Context, name, node string, objects int, delay time.Duration) (d delivery, err error) {
	proxy, err := linkproxy.Start(b.fleet.HubAddress())
	if err != nil {
		return d, err
	}
	defer proxy.Close()
	agent, err := b.joinAgent(ctx, node, name, fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
	if err != nil {
		return d, err
	}
	proxy.SetDelay(delay)
	before, err := b.managerMetrics(ctx)
	if err != nil {
		return d, err
	}
	joins := len(proxy.Accepted())
	if err := agent.EnsureStarted(); err != nil {
		return d, err
	}
	defer agent.Stop()
	persisted, err := b.awaitCounter(ctx, persistedMetric, progressOf(before, persistedMetric)+float64(objects))
	if err != nil {
		return d, err
	}
	applied, err := b.awaitCounter(ctx, appliedMetric, progressOf(before, appliedMetric)+float64(objects))
	if err != nil {
		return d, err
	}
	connects := proxy.Accepted()[joins:]
	if len(connects) != 1 {
		return d, fmt.Errorf("the agent has connected %d times instead of once", len(connects))
	}
	if files, err := countFiles(agent, name); err != nil || files != objects {
		return d, fmt.Errorf("%d files instead of %d, error %w", files, objects, err)
	}
	return delivery{persisted.Sub(connects[0]), applied.Sub(connects[0])}, b.awaitSynced(ctx, name, 1, objects)
}

// awaitCounter returns when a counter of the manager has been seen to be that far.
func (b *bench) awaitCounter(ctx context.Context, metric string, value float64) (at time.Time, err error) {
	err = await(ctx, scrapePeriod, func() (bool, error) {
		now, err := b.managerMetrics(ctx)
		at = time.Now()
		return progressOf(now, metric) >= value, err
	})
	if err != nil {
		err = fmt.Errorf("%s is to be %g: %w", metric, value, err)
	}
	return at, err
}
