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

// Package metrics are the Prometheus metrics of the edge agent. Their labels have few
// values: states, codes, results and the targets of the configuration.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of work on one object at one target, for Worked.
const (
	Changed     = "changed"
	Unchanged   = "unchanged"
	Progressing = "progressing"
	Waiting     = "waiting"
	Failed      = "failed"
)

var results = []string{Changed, Unchanged, Progressing, Waiting, Failed}

// Metrics counts what happens. Its methods may be called concurrently.
type Metrics struct {
	registry     *prometheus.Registry
	commits      prometheus.Histogram
	commitErrors prometheus.Counter
	work         *prometheus.HistogramVec
}

// New makes the metrics of an agent with these targets. state is called for every scrape,
// by one goroutine at a time.
func New(targets []string, state func() (State, error)) *Metrics {
	m := &Metrics{
		registry: prometheus.NewPedanticRegistry(),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "edgesync_agent_commit_duration_seconds",
			Help:    "How long it took to make changes of the store durable, which is once for all that has arrived.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
		commitErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "edgesync_agent_commit_errors_total",
			Help: "Changes that the store could not make durable.",
		}),
		work: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "edgesync_agent_apply_duration_seconds",
			Help:    "How long it took to apply, check or remove an object, by target and result.",
			Buckets: []float64{.001, .01, .1, 1, 10},
		}, []string{"target", "result"}),
	}
	for _, target := range targets {
		for _, result := range results {
			m.work.WithLabelValues(target, result)
		}
	}
	m.registry.MustRegister(m.commits, m.commitErrors, m.work, &scraped{state: state})
	return m
}

// Registry has the metrics, each with a value from the start.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Committed counts a transaction of the store.
func (m *Metrics) Committed(took time.Duration, err error) {
	m.commits.Observe(took.Seconds())
	if err != nil {
		m.commitErrors.Inc()
	}
}

// Worked counts the work on one object at one target; result is one of the constants.
func (m *Metrics) Worked(target, result string, took time.Duration) {
	m.work.WithLabelValues(target, result).Observe(took.Seconds())
}
