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
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// checkMetrics checks where metrics are served. Profiles show how the agent works, and
// making them takes time: they are for who is on the machine.
func (c *Config) checkMetrics() error {
	if c.MetricsBindAddress == "" {
		if c.Pprof {
			return errors.New("pprof is served where the metrics are: set metricsBindAddress (--metrics-bind-address) too")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(c.MetricsBindAddress)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("metricsBindAddress %q is not host:port, as in 127.0.0.1:9464: %w", c.MetricsBindAddress, err)
	}
	if address, err := netip.ParseAddr(host); c.Pprof && host != "localhost" && (err != nil || !address.IsLoopback()) {
		return fmt.Errorf("pprof is only served to this machine: with it metricsBindAddress must be as 127.0.0.1:%s and not %q",
			port, c.MetricsBindAddress)
	}
	return nil
}
