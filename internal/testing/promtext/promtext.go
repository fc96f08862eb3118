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

// Package promtext reads what a program tells of itself in the text format of Prometheus.
package promtext

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Series are the values of time series by their name with labels, as Prometheus writes it.
type Series map[string]float64

// Scrape reads the metrics at a URL.
func Scrape(ctx context.Context, client *http.Client, url string) (Series, error) {
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
	return Parse(response.Body)
}

// Parse reads metrics in the text format.
func Parse(r io.Reader) (Series, error) {
	all := Series{}
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

// Sum adds up the time series of a metric, whatever their labels. It is 0 if there are none.
func (s Series) Sum(metric string) (sum float64) {
	for name, value := range s {
		if name == metric || strings.HasPrefix(name, metric+"{") {
			sum += value
		}
	}
	return sum
}
