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
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func TestFleetMetrics(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(syncv1alpha1.AddToScheme(scheme)).To(Succeed())
	is := func(kind, reason string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: kind, Reason: reason, Status: status}
	}
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
	node.Status.Conditions = []metav1.Condition{
		is(syncv1alpha1.ConditionConnected, syncv1alpha1.ReasonConnected, metav1.ConditionTrue),
		is(syncv1alpha1.ConditionSynced, syncv1alpha1.ReasonFailed, metav1.ConditionFalse),
	}
	paused := &syncv1alpha1.ObjectSync{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "settings"}}
	paused.Status.Conditions = []metav1.Condition{
		is(syncv1alpha1.ConditionSynced, syncv1alpha1.ReasonRolloutPaused, metav1.ConditionFalse),
		is(syncv1alpha1.ConditionStalled, syncv1alpha1.ReasonRolloutPaused, metav1.ConditionTrue),
	}
	synced := &syncv1alpha1.ClusterObjectSync{ObjectMeta: metav1.ObjectMeta{Name: "namespaces"}}
	synced.Status.Conditions = []metav1.Condition{is(syncv1alpha1.ConditionSynced, syncv1alpha1.ReasonSynced, metav1.ConditionTrue)}

	leads := true
	collector := &fleetCollector{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())

	collector.source.Store(&fleetSource{
		reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(node, paused, synced).Build(),
		leads:  func() bool { return leads },
	})
	values := map[string]float64{}
	families, err = registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			values[family.GetName()+" "+metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"edgesync_nodes Connected": 1, "edgesync_nodes Disconnected": 0,
		"edgesync_nodes_synced Failed": 1, "edgesync_nodes_synced Synced": 0,
		"edgesync_syncs Synced": 1, "edgesync_syncs RolloutPaused": 1,
		"edgesync_stalled_syncs RolloutPaused": 1, "edgesync_stalled_syncs Forbidden": 0,
	} {
		g.Expect(values).To(HaveKeyWithValue(name, want))
	}

	leads = false
	g.Expect(registry.Gather()).To(BeEmpty(), "or the sum over the replicas would be wrong")
}
