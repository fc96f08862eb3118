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

package controllers

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// scrapeTimeout bounds how long the cache may take to be read for the metrics.
const scrapeTimeout = 5 * time.Second

var (
	nodesDesc = prometheus.NewDesc("edgesync_nodes",
		"EdgeNodes by the reason of their condition Connected, as the leader knows them.", []string{"connected"}, nil)
	nodesSyncedDesc = prometheus.NewDesc("edgesync_nodes_synced",
		"EdgeNodes by the reason of their condition Synced, as the leader knows them.", []string{"synced"}, nil)
	syncsDesc = prometheus.NewDesc("edgesync_syncs",
		"ObjectSyncs and ClusterObjectSyncs by the reason of their condition Synced, as the leader knows them.", []string{"synced"}, nil)
	stalledDesc = prometheus.NewDesc("edgesync_stalled_syncs",
		"ObjectSyncs and ClusterObjectSyncs that wait for somebody to act, by the reason of their condition Stalled.", []string{"reason"}, nil)
)

// Reasons that are counted from the start, so that rates and alerts see the first.
var (
	connectedReasons = []string{
		syncv1alpha1.ReasonConnected, syncv1alpha1.ReasonDuplicateIdentity, syncv1alpha1.ReasonDisconnected,
		syncv1alpha1.ReasonNeverConnected, syncv1alpha1.ReasonRevoked,
	}
	syncedReasons = []string{
		syncv1alpha1.ReasonSynced, syncv1alpha1.ReasonProgressing, syncv1alpha1.ReasonFailed,
		syncv1alpha1.ReasonOffline, syncv1alpha1.ReasonSuspended, syncv1alpha1.ReasonDeletesHeldBack,
		syncv1alpha1.ReasonRollingOut,
	}
	stalledReasons = []string{
		syncv1alpha1.ReasonKindUnknown, syncv1alpha1.ReasonForbidden, syncv1alpha1.ReasonWrongScope,
		syncv1alpha1.ReasonWatchFailed, syncv1alpha1.ReasonInvalidSelector, syncv1alpha1.ReasonDeletesHeldBack,
		syncv1alpha1.ReasonRolloutPaused,
	}
)

// fleetCollector counts nodes and syncs by what their status says, when it is asked. Only the
// leader counts, so that the sum over the replicas is right.
type fleetCollector struct {
	source atomic.Pointer[fleetSource]
}

type fleetSource struct {
	reader client.Reader
	leads  func() bool
}

var fleetMetrics = &fleetCollector{}

func init() { metrics.Registry.MustRegister(fleetMetrics) }

// Describe implements prometheus.Collector.
func (c *fleetCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{nodesDesc, nodesSyncedDesc, syncsDesc, stalledDesc} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *fleetCollector) Collect(samples chan<- prometheus.Metric) {
	counts := newFleetCounts()
	if source := c.source.Load(); source != nil {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
		defer cancel()
		if !source.leads() || counts.read(ctx, source.reader) != nil {
			return
		}
	}
	counts.collect(samples)
}

// fleetCounts are numbers by reason.
type fleetCounts struct {
	connected, synced, syncs, stalled map[string]int
}

func newFleetCounts() fleetCounts {
	return fleetCounts{
		connected: zeros(connectedReasons), synced: zeros(syncedReasons),
		syncs: zeros(syncedReasons), stalled: zeros(stalledReasons),
	}
}

func zeros(reasons []string) map[string]int {
	counts := make(map[string]int, len(reasons))
	for _, reason := range reasons {
		counts[reason] = 0
	}
	return counts
}

func (c fleetCounts) read(ctx context.Context, reader client.Reader) error {
	var nodes syncv1alpha1.EdgeNodeList
	if err := reader.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range nodes.Items {
		conditions := nodes.Items[i].Status.Conditions
		count(c.connected, conditions, syncv1alpha1.ConditionConnected)
		count(c.synced, conditions, syncv1alpha1.ConditionSynced)
	}
	var syncs syncv1alpha1.ObjectSyncList
	if err := reader.List(ctx, &syncs, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range syncs.Items {
		c.countSync(syncs.Items[i].Status.Conditions)
	}
	var clusterSyncs syncv1alpha1.ClusterObjectSyncList
	if err := reader.List(ctx, &clusterSyncs, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range clusterSyncs.Items {
		c.countSync(clusterSyncs.Items[i].Status.Conditions)
	}
	return nil
}

func (c fleetCounts) countSync(conditions []metav1.Condition) {
	count(c.syncs, conditions, syncv1alpha1.ConditionSynced)
	if apimeta.IsStatusConditionTrue(conditions, syncv1alpha1.ConditionStalled) {
		count(c.stalled, conditions, syncv1alpha1.ConditionStalled)
	}
}

func count(counts map[string]int, conditions []metav1.Condition, conditionType string) {
	if condition := apimeta.FindStatusCondition(conditions, conditionType); condition != nil {
		counts[condition.Reason]++
	}
}

func (c fleetCounts) collect(samples chan<- prometheus.Metric) {
	for desc, counts := range map[*prometheus.Desc]map[string]int{
		nodesDesc: c.connected, nodesSyncedDesc: c.synced, syncsDesc: c.syncs, stalledDesc: c.stalled,
	} {
		for reason, n := range counts {
			samples <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), reason)
		}
	}
}
