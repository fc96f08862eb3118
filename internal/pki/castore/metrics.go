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

package castore

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	expiry = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "edgesync_ca_expiry_timestamp_seconds", Help: "When the CA that signs expires. Replace it years before.",
	})
	refused = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "edgesync_ca_refused", Help: "1 while the CA in the Secret edgesync-ca is not used, for a reason that an Event tells; otherwise 0.",
	})
)

func init() { metrics.Registry.MustRegister(expiry, refused) }
