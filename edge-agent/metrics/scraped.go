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

package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is where an agent stands.
type State struct {
	// Connected says that there is a session; LastSync is when the hub had last sent all
	// that the node should hold, zero if never.
	Connected bool
	LastSync  time.Time
	// Objects are the numbers of objects by state, zeros among them.
	Objects map[string]int
	// StoreBytes is the size of the store's file.
	StoreBytes int64
	// CertificateExpires is the end of the node's certificate.
	CertificateExpires time.Time
	// Attempts are those to connect, and Sessions those of them that the hub has welcomed.
	Attempts, Sessions uint64
	// ReceivedBytes and SentBytes are those of the connections to the hub, TLS included.
	ReceivedBytes, SentBytes uint64
	// Nacks are the messages that were refused, by code, zeros among them.
	Nacks map[string]uint64
	// Repairs is how often a target was put right that somebody had changed.
	Repairs uint64
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("edgesync_agent_"+name, help, labels, nil)
}

var (
	connectedDesc = desc("connected", "Whether there is a session with the hub.")
	lastSyncDesc  = desc("last_sync_timestamp_seconds",
		"When the hub had last sent all that this node should hold; 0 if it has not since the store was made.")
	objectsDesc     = desc("objects", "Objects in the store, by how far the targets are with them.", "state")
	storeDesc       = desc("store_bytes", "Size of the file of the store.")
	certificateDesc = desc("certificate_expiration_timestamp_seconds", "When the certificate of this node expires.")
	attemptsDesc    = desc("connection_attempts_total", "Attempts to connect to the hub.")
	sessionsDesc    = desc("sessions_total", "Sessions that the hub has welcomed: all but the first are reconnects.")
	receivedDesc    = desc("received_bytes_total", "Bytes received from the hub, TLS included.")
	sentDesc        = desc("sent_bytes_total", "Bytes sent to the hub, TLS included.")
	nacksDesc       = desc("nacks_total", "Messages of the hub that this node has refused, by code.", "code")
	repairsDesc     = desc("repairs_total", "How often a target was put right that somebody had changed.")

	descs = []*prometheus.Desc{
		connectedDesc, lastSyncDesc, objectsDesc, storeDesc, certificateDesc, attemptsDesc, sessionsDesc,
		receivedDesc, sentDesc, nacksDesc, repairsDesc,
	}
)

// scraped are the metrics that need no counting: the agent is asked for them.
type scraped struct {
	mu    sync.Mutex
	state func() (State, error)
}

// Describe is that of prometheus.Collector.
func (s *scraped) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range descs {
		out <- desc
	}
}

// Collect is that of prometheus.Collector.
func (s *scraped) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	state, err := s.state()
	s.mu.Unlock()
	if err != nil {
		out <- prometheus.NewInvalidMetric(connectedDesc, err)
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	connected := 0.0
	if state.Connected {
		connected = 1
	}
	gauge(connectedDesc, connected)
	gauge(lastSyncDesc, seconds(state.LastSync))
	for name, count := range state.Objects {
		gauge(objectsDesc, float64(count), name)
	}
	gauge(storeDesc, float64(state.StoreBytes))
	gauge(certificateDesc, seconds(state.CertificateExpires))
	counter(attemptsDesc, state.Attempts)
	counter(sessionsDesc, state.Sessions)
	counter(receivedDesc, state.ReceivedBytes)
	counter(sentDesc, state.SentBytes)
	for code, count := range state.Nacks {
		counter(nacksDesc, count, code)
	}
	counter(repairsDesc, state.Repairs)
}

// seconds is a time as Prometheus has it; 0 for none.
func seconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}
