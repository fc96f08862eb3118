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

package metricsdoc

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x_sessions", Help: `Nodes that "live".`})
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x_refused_total", Help: "Refused."}, []string{"cause", "side"})
	registry.MustRegister(counter, gauge, prometheus.NewGauge(prometheus.GaugeOpts{Name: "y", Help: "Another."}))
	g.Expect(Write(&strings.Builder{}, registry, "x_")).To(MatchError(ContainSubstring("from the start: x_refused_total")))

	counter.WithLabelValues("full", "hub")
	var b strings.Builder
	g.Expect(Write(&b, registry, "x_")).To(Succeed())
	g.Expect(b.String()).To(Equal("| metric | type | labels | |\n|---|---|---|---|\n" +
		"| `x_refused_total` | counter | `cause`, `side` | Refused. |\n" +
		"| `x_sessions` | gauge |  | Nodes that \"live\". |\n"))
}
