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

package enroll

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	joinResults = []string{
		joined, tokenUnknown, tokenInvalid, tokenWrong, tokenUsed, tokenExpired, tokenBoundElsewhere,
		nodeExists, nodeRevoked, nodeBeingDeleted,
		malformed, tooLarge, rateLimited, busy, timedOut, canceled, failed,
	}
	renewResults = []string{
		renewed, renewedAfterExpiry, noCertificate, graceOver, notAdmitted,
		malformed, tooLarge, rateLimited, busy, timedOut, canceled, failed,
	}

	joinRequests = newRequests("edgesync_join_requests_total",
		"Requests of machines to join, by result.", joinResults)
	renewRequests = newRequests("edgesync_renew_requests_total",
		"Requests of nodes to renew their certificates, by result.", renewResults)
)

// newRequests is a counter that shows each result from the start, so that rates and
// alerts see the first one.
func newRequests(name, help string, results []string) *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
	for _, result := range results {
		counter.WithLabelValues(result)
	}
	return counter
}

func init() {
	metrics.Registry.MustRegister(joinRequests, renewRequests)
}
