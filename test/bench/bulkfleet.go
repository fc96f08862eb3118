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

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

// bulkToOne measures how long a node that is connected takes to get many objects at once,
// with the real edge-agent.
func bulkToOne(ctx context.Context, b *bench) error {
	for _, scenario := range []struct {
		objects, runs int
		roundTrip     time.Duration
	}{
		{100, 3, 0},
		{1000, 5, 0}, {1000, 5, 50 * time.Millisecond},
		{10_000, 1, 0}, {10_000, 1, 100 * time.Millisecond},
	} {
		objects := b.scale(scenario.objects)
		name := fmt.Sprintf("bulk-%d", scenario.objects)
		if err := b.ensureObjects(ctx, name, objects); err != nil {
			return err
		}
		var times []float64
		for run := range b.count(scenario.runs, 1) {
			node := fmt.Sprintf("%s-%d-%d", name, scenario.roundTrip.Milliseconds(), run)
			took, err := b.sendBulk(ctx, name, node, objects, scenario.roundTrip)
			if err != nil {
				return fmt.Errorf("%d objects, %s: %w", objects, scenario.roundTrip, err)
			}
			times = append(times, took.Seconds())
		}
		b.addBulk(scenario.objects, scenario.roundTrip, times)
	}
	b.limits["bulk_10000_100ms_rtt_s"] = atMost(1.5*b.value("bulk_10000_0ms_s") + 1)
	b.addGrowth("bulk_0ms", "bulk_100_0ms_s", "bulk_1000_0ms_s", "bulk_10000_0ms_s")
	return nil
}

// ensureObjects makes a namespace with objects, unless it is there.
func (b *bench) ensureObjects(ctx context.Context, namespace string, objects int) error {
	err := b.client.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{})
	if err == nil || client.IgnoreNotFound(err) != nil {
		return err
	}
	if err := b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	// So that the manager knows the objects: it watches the kinds that an ObjectSync names.
	if err := b.client.Create(ctx, bulkSync(namespace, "nobody", "nobody")); err != nil {
		return err
	}
	return b.createObjects(ctx, namespace, objects)
}

func bulkSync(namespace, name, node string) *syncv1alpha1.ObjectSync {
	return &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{
				APIVersion: "v1", Kind: "ConfigMap",
				LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"bench": namespace}},
			},
			NodeName: node,
		},
	}
}

func (b *bench) sendBulk(ctx context.Context, namespace, node string, objects int, roundTrip time.Duration) (time.Duration, error) {
	proxy, err := linkproxy.Start(b.fleet.HubAddress())
	if err != nil {
		return 0, err
	}
	defer proxy.Close()
	agent, err := b.startAgent(ctx, node, node, fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
	if err != nil {
		return 0, err
	}
	defer agent.Stop()
	if err := b.awaitInSync(ctx, agent); err != nil {
		return 0, err
	}
	proxy.SetDelay(roundTrip / 2)
	watch := &stopwatch{}
	api, err := b.timedClient(watch)
	if err != nil {
		return 0, err
	}
	before, err := b.managerMetrics(ctx)
	if err != nil {
		return 0, err
	}
	if err := api.Create(ctx, bulkSync(namespace, node, node)); err != nil {
		return 0, err
	}
	end, err := b.awaitCounter(ctx, persistedMetric, progressOf(before, persistedMetric)+float64(objects))
	if err != nil {
		return 0, err
	}
	if err := b.awaitInSync(ctx, agent); err != nil {
		return 0, err
	}
	files, err := countFiles(agent, namespace)
	if err == nil && files != objects {
		err = fmt.Errorf("%d files instead of %d", files, objects)
	}
	return end.Sub(watch.answered), err
}

func (b *bench) awaitInSync(ctx context.Context, agent *fleet.Agent) error {
	return await(ctx, 50*time.Millisecond, func() (bool, error) {
		status, err := agent.Status(ctx)
		return status.InSync && status.Link.Connected, err
	})
}

func (b *bench) addBulk(objects int, roundTrip time.Duration, times []float64) {
	link := "0ms"
	if roundTrip > 0 {
		link = fmt.Sprintf("%dms_rtt", roundTrip.Milliseconds())
	}
	took := quantile(times, 0.5)
	conditions := settings{
		"objects": b.scale(objects), "data_bytes": objectBytes, "round_trip": roundTrip.String(),
		"runs": len(times), "least_s": format(quantile(times, 0)), "most_s": format(quantile(times, 1)),
		"from": "the answer to the ObjectSync's creation; its objects exist",
		"to":   fmt.Sprintf("the manager has counted the last ack, read every %s", scrapePeriod),
	}
	b.add(fmt.Sprintf("bulk_%d_%s_s", objects, link), took, "s", conditions)
	if objects == 1000 {
		b.add("bulk_objects_per_s_"+link, float64(b.scale(objects))/took, "objects/s", conditions)
	}
}
