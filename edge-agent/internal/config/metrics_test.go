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

package config

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestWhereMetricsAreServed(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct{ metrics, pprof string }{
		"":               {"", "set metricsBindAddress"},
		"127.0.0.1:9464": {"", ""},
		"[::1]:9464":     {"", ""},
		"localhost:9464": {"", ""},
		":9464":          {"", "127.0.0.1:9464"},
		"0.0.0.0:9464":   {"", "only served to this machine"},
		"edge-1:9464":    {"", "only served to this machine"},
		"127.0.0.1":      {"not host:port", "not host:port"},
		"127.0.0.1:http": {"not host:port", "not host:port"},
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			for withPprof, want := range map[bool]string{false: want.metrics, true: want.pprof} {
				config := Config{MetricsBindAddress: address, Pprof: withPprof}
				if err := config.checkMetrics(); want == "" {
					NewWithT(t).Expect(err).NotTo(HaveOccurred())
				} else {
					NewWithT(t).Expect(err).To(MatchError(ContainSubstring(want)))
				}
			}
		})
	}
}
