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

// Package metricsdoc makes a table of a program's metrics from the program itself, so that
// the documentation cannot say anything else.
package metricsdoc

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Registry is a prometheus.Registry, of which everything can be asked.
type Registry interface {
	prometheus.Collector
	prometheus.Gatherer
}

type row struct{ name, kind, labels, help string }

// Write writes a Markdown table of the metrics of a registry whose names begin with prefix.
// It fails if a metric shows nothing before something happens: rates and alerts would miss
// the first time, and its type could not be told.
func Write(w io.Writer, registry Registry, prefix string) error {
	kinds, err := kindsOf(registry)
	if err != nil {
		return err
	}
	rows, err := rowsOf(registry, prefix, kinds)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, "| metric | type | labels | |\n|---|---|---|---|"); err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", r.name, r.kind, r.labels, r.help); err != nil {
			return err
		}
	}
	return nil
}

func kindsOf(registry prometheus.Gatherer) (map[string]string, error) {
	families, err := registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather the metrics: %w", err)
	}
	kinds := make(map[string]string, len(families))
	for _, family := range families {
		kinds[family.GetName()] = strings.ToLower(family.GetType().String())
	}
	return kinds, nil
}

func rowsOf(registry prometheus.Collector, prefix string, kinds map[string]string) ([]row, error) {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	var rows []row
	var silent []string
	for desc := range descs {
		r, ok := parse(desc)
		if !ok || !strings.HasPrefix(r.name, prefix) {
			continue
		}
		if r.kind = kinds[r.name]; r.kind == "" {
			silent = append(silent, r.name)
		}
		rows = append(rows, r)
	}
	if len(silent) > 0 {
		slices.Sort(silent)
		return nil, fmt.Errorf("give these metrics a value from the start: %s", strings.Join(silent, ", "))
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return rows, nil
}

// description is how a Desc prints itself, which is all that it tells.
var description = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), .*variableLabels: \{(.*)\}\}$`)

func parse(desc *prometheus.Desc) (row, bool) {
	found := description.FindStringSubmatch(desc.String())
	if found == nil {
		return row{}, false
	}
	name, nameErr := strconv.Unquote(found[1])
	help, helpErr := strconv.Unquote(found[2])
	labels := found[3]
	if labels != "" {
		labels = "`" + strings.ReplaceAll(labels, ",", "`, `") + "`"
	}
	return row{name: name, labels: labels, help: help}, nameErr == nil && helpErr == nil
}
