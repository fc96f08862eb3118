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
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"
)

// series are the values of time series by their name with labels, as Prometheus writes it.
type series map[string]float64

// scrape reads metrics in the text format.
func scrape(ctx context.Context, client *http.Client, url string) (series, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return parseSeries(response.Body)
}

func parseSeries(r io.Reader) (series, error) {
	all := series{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		end := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || end < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the metric %q: %w", line, err)
		}
		all[line[:end]] = value
	}
	return all, lines.Err()
}

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
func (b *bench) managerMetrics(ctx context.Context) (series, error) {
	return scrape(ctx, uncompressed, b.fleet.MetricsURL())
}

// apiServerMetrics reads the API server's metrics.
func (b *bench) apiServerMetrics(ctx context.Context) (series, error) {
	config := b.fleet.RESTConfig()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	return scrape(ctx, client, config.Host+"/metrics")
}
