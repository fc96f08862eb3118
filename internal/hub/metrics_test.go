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

package hub

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// gathered are the values of the hub's metrics, of a histogram its count, by name and label value.
func gathered(g *WithT) map[string]float64 {
	families, err := metrics.Registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "edgesync_hub_")
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	w.put(configMap("a", "10", "a"))
	before := gathered(w.g)
	more := func(name string) float64 { return gathered(w.g)[name] - before[name] }

	a, r := w.connect("edge-1"), newReplica()
	a.sync(r)
	w.g.Expect(gathered(w.g)["sessions"]).To(BeEquivalentTo(1))
	w.delete(configMap("a", "", ""), "11")
	a.follow(r)
	w.put(configMap("b", "12", "b"))
	a.send(nack(&pb.Nack{Sequence: a.nextPut().GetSequence(), Code: pb.NackCode_NACK_CODE_REJECT}))
	a.nextBookmark()
	a.send(hello(r))
	_ = a.closed()
	w.eventually(w.hub.Sessions).Should(BeZero())

	for name, want := range map[string]float64{
		"puts_total": 2, "deletes_total": 1, "persisted_total": 2, "nacks_total reject": 1,
		"results_total applied": 1, "results_total removed": 1,
		"persist_duration_seconds": 2, "apply_duration_seconds": 2,
		"refused_connections_total protocol": 1,
	} {
		w.g.Expect(more(name)).To(Equal(want), name)
	}
	w.g.Expect(gathered(w.g)["sessions"]).To(BeZero())
	w.g.Expect(more("sent_bytes_total")).To(BeNumerically(">", 0))
	w.g.Expect(more("received_bytes_total")).To(BeNumerically(">", 0))
}

func TestMetricsKeepToConventions(t *testing.T) {
	g := NewWithT(t)
	families, err := metrics.Registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	g.Expect(err).NotTo(HaveOccurred())
	for _, problem := range problems {
		g.Expect(problem.Metric).NotTo(HavePrefix("edgesync_"), problem.Text)
	}
}
