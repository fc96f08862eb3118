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
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// settings are the conditions of a measurement.
type settings map[string]any

// result is one figure.
type result struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Settings settings `json:"settings"`
}

// limit is what a figure has to keep to.
type limit struct {
	value float64
	least bool
}

func atMost(value float64) limit  { return limit{value: value} }
func atLeast(value float64) limit { return limit{value, true} }

func (l limit) metBy(value float64) bool {
	if l.least {
		return value >= l.value
	}
	return value <= l.value
}

func (l limit) String() string {
	if l.least {
		return ">= " + format(l.value)
	}
	return "<= " + format(l.value)
}

// limits are those of figures by name.
var limits = map[string]limit{
	"update_to_file_median_ms":     atMost(10),
	"update_to_file_p99_ms":        atMost(50),
	"bulk_2000_50ms_persisted_s":   atMost(2),
	"bulk_2000_50ms_applied_s":     atMost(3),
	"api_writes_per_delivery":      atMost(0.02),
	"agent_binary_bytes":           atMost(30e6),
	"agent_rss_1000_objects_bytes": atMost(30e6),

	"idle_rss_per_node_bytes":        atMost(40 << 10),
	"idle_goroutines_per_node":       atMost(2),
	"idle_1000_cpu_s_per_min":        atMost(0.4),
	"bulk_objects_per_s_0ms":         atLeast(5000),
	"bulk_objects_per_s_50ms_rtt":    atLeast(2000),
	"fleet_1000x10_s":                atMost(6),
	"fanout_5000_median_ms":          atMost(500),
	"fanout_5000_last_ms":            atMost(2000),
	"fanout_api_writes_per_delivery": atMost(0.01),
	"update_arrival_p50_ms":          atMost(1),
	"update_arrival_p99_ms":          atMost(5),
	"update_persisted_p99_ms":        atMost(25),
	"restart_1000_insync_s":          atMost(1.5),
	"restart_1000_object_bytes":      atMost(0),
	"storm_5000_insync_s":            atMost(10),
	"storm_5000_bytes_per_node":      atMost(1024),
	"catchup_p99_ms":                 atMost(200),
	"delta_1kb_wire_bytes":           atMost(150),
	"delta_100kb_wire_bytes":         atMost(160),
	"ack_wire_bytes":                 atMost(40),
	"stuck_object_others_p99_ms":     atMost(5),
}

// report collects figures.
type report struct {
	// short: the figures are those of short runs, and compare with nothing.
	short   bool
	machine settings
	results []result
	// limits are those that other figures decide.
	limits map[string]limit
}

func newReport(short bool) (*report, error) {
	machine, err := describeMachine()
	if err != nil {
		return nil, fmt.Errorf("describe this machine: %w", err)
	}
	if short {
		machine["short"] = true
	}
	return &report{short: short, machine: machine, limits: map[string]limit{}}, nil
}

// add adds a figure. The machine and its present load are added to the settings.
func (r *report) add(name string, value float64, unit string, conditions settings) {
	all := maps.Clone(r.machine)
	all["load1"] = loadAverage()
	maps.Copy(all, conditions)
	r.results = append(r.results, result{Name: name, Value: value, Unit: unit, Settings: all})
	progress("%s: %s %s", name, format(value), unit)
}

// addRatio adds the ratio of two figures, if that says anything.
func (r *report) addRatio(name, of, to string) {
	divisor := r.value(to)
	if divisor <= 0 {
		return
	}
	r.add(name, r.value(of)/divisor, "ratio", settings{"of": of, "to": to})
}

// addGrowth adds how many times as much each of some figures is as the first of them.
func (r *report) addGrowth(name string, figures ...string) {
	first := r.value(figures[0])
	if first <= 0 {
		return
	}
	conditions := settings{}
	for _, figure := range figures {
		conditions[figure] = format(r.value(figure) / first)
	}
	r.add(name+"_growth", r.value(figures[len(figures)-1])/first, "ratio", conditions)
}

func (r *report) value(name string) float64 {
	i := slices.IndexFunc(r.results, func(result result) bool { return result.Name == name })
	if i < 0 {
		return 0
	}
	return r.results[i].Value
}

// write writes the figures as JSON.
func (r *report) write(path string) error {
	data, err := json.MarshalIndent(r.results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// print prints the figures as a table, below what they have in common.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", list(r.machine, nil))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVALUE\tUNIT\tLIMIT\tSETTINGS")
	for _, result := range r.results {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			result.Name, format(result.Value), result.Unit, r.verdict(result), list(result.Settings, r.machine))
	}
	_ = table.Flush()
}

// verdict says whether a figure keeps to its limit.
func (r *report) verdict(result result) string {
	limit, exists := limits[result.Name]
	if own, computed := r.limits[result.Name]; computed {
		limit, exists = own, true
	}
	switch {
	case !exists || r.short:
		return ""
	case limit.metBy(result.Value):
		return limit.String() + " met"
	default:
		return limit.String() + " MISSED"
	}
}

// format shows three digits, and large numbers in full.
func format(value float64) string {
	if value >= 1000 || value <= -1000 {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.3g", value)
}

// list shows the settings in their order, without those in common.
func list(all, common settings) string {
	var shown []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if _, skip := common[key]; !skip {
			shown = append(shown, fmt.Sprintf("%s=%v", key, all[key]))
		}
	}
	return strings.Join(shown, " ")
}
