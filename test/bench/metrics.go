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

package main

import (
	"context"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// label returns the value of a label in the name of a time series.
func label(name, label string) string {
	for _, before := range []string{"{", ","} {
		if _, rest, found := strings.Cut(name, before+label+`="`); found {
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
	}
	return ""
}

// uncompressed spares the manager the work of compressing what does not travel far.
var uncompressed = &http.Client{Transport: &http.Transport{DisableCompression: true}}

// managerMetrics reads the manager's metrics.
func (b *bench) managerMetrics(ctx context.Context) (promtext.Series, error) {
	return promtext.Scrape(ctx, uncompressed, b.fleet.MetricsURL())
}

// apiServerMetrics reads the API server's metrics.
func (b *bench) apiServerMetrics(ctx context.Context) (promtext.Series, error) {
	config := b.fleet.RESTConfig()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	return promtext.Scrape(ctx, client, config.Host+"/metrics")
}
