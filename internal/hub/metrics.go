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
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

var (
	sessionsGauge = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "edgesync_hub_sessions", Help: "Nodes that have a session with this manager.",
	})
	pendingGauge = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "edgesync_hub_pending_connections",
		Help: "Connections that are not, or not yet, the session of a node.",
	})
	refusals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "edgesync_hub_refused_connections_total",
		Help: "Connections that were refused, or ended by the hub, by cause.",
	}, []string{"cause"})
	puts = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "edgesync_hub_puts_total", Help: "Objects sent to nodes.",
	})
	encodedPuts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "edgesync_hub_encoded_puts_total", Help: "Objects sent to nodes, by encoding.",
	}, []string{"encoding"})
	objectBytes = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "edgesync_hub_object_bytes_total", Help: "Bytes of the objects sent to nodes, before they were encoded.",
	})
	encodedBytes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "edgesync_hub_encoded_bytes_total", Help: "Bytes of the objects sent to nodes as they were encoded, by encoding.",
	}, []string{"encoding"})
	deletes = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "edgesync_hub_deletes_total", Help: "Deletions and releases sent to nodes.",
	})
	persisted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "edgesync_hub_persisted_total", Help: "Objects and deletions that nodes have acknowledged as persisted.",
	})
	persistDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "edgesync_hub_persist_duration_seconds", Buckets: answerBuckets,
		Help: "From sending an object or a deletion to a node until the node has acknowledged that it is persisted.",
	})
	applyDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "edgesync_hub_apply_duration_seconds", Buckets: answerBuckets,
		Help: "From sending an object or a deletion to a node until the node has reported it applied, and healthy, or removed.",
	})
	nacks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "edgesync_hub_nacks_total", Help: "Objects that nodes refused, by code.",
	}, []string{"code"})
	results = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "edgesync_hub_results_total", Help: "Objects of which nodes reported what became of them, by state; done if nothing is left to do.",
	}, []string{"state"})
	sent = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "edgesync_hub_sent_bytes_total", Help: "Bytes of the frames sent to nodes.",
	})
	received = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "edgesync_hub_received_bytes_total", Help: "Bytes of the frames received from nodes.",
	})
)

// answerBuckets are from a machine next door to one at the end of a thin link.
var answerBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// refused counts one connection.
func refused(why cause) { refusals.WithLabelValues(string(why)).Inc() }

// encodingCounters are found without a look-up by label: there is one of each for every
// object that is sent.
var encodingCounters = map[pb.Encoding]struct{ puts, bytes prometheus.Counter }{}

func countPut(o *object.Object, put *pb.Put) {
	puts.Inc()
	objectBytes.Add(float64(len(o.Payload)))
	counters := encodingCounters[put.GetEncoding()]
	counters.puts.Inc()
	counters.bytes.Add(float64(len(put.GetPayload())))
}

func init() {
	for _, encoding := range []pb.Encoding{pb.Encoding_ENCODING_JSON, pb.Encoding_ENCODING_ZSTD, pb.Encoding_ENCODING_ZSTD_DELTA} {
		label := labelValue(encoding.String(), "ENCODING_")
		encodingCounters[encoding] = struct{ puts, bytes prometheus.Counter }{
			encodedPuts.WithLabelValues(label), encodedBytes.WithLabelValues(label),
		}
	}
	for code := range pb.NackCode_name {
		if code := pb.NackCode(code); code != pb.NackCode_NACK_CODE_UNSPECIFIED {
			nacks.WithLabelValues(labelValue(code.String(), "NACK_CODE_"))
		}
	}
	for state := range pb.ApplyState_name {
		if state := pb.ApplyState(state); state != pb.ApplyState_APPLY_STATE_UNSPECIFIED {
			results.WithLabelValues(labelValue(state.String(), "APPLY_STATE_"))
		}
	}
	results.WithLabelValues("done")
	for _, why := range causes {
		refusals.WithLabelValues(string(why)) // a rate needs a zero to rise from
	}
	metrics.Registry.MustRegister(sessionsGauge, pendingGauge, refusals,
		puts, encodedPuts, objectBytes, encodedBytes, deletes, persisted, persistDuration, applyDuration, nacks, results, sent, received)
}
