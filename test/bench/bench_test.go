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
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// Every benchmark runs and reports its figures; what they are is not for a test to say.
func TestShortRun(t *testing.T) {
	g := NewWithT(t)
	if _, err := controlplane.Assets(); err != nil {
		t.Skipf("needs a real control plane: %v", err)
	}
	// The path of t.TempDir is too long for the agent's socket.
	dir, err := os.MkdirTemp("", "bench")
	g.Expect(err).NotTo(HaveOccurred())
	defer os.RemoveAll(dir)
	if _, err := fleet.New(fleet.Options{Dir: filepath.Join(dir, "probe")}); err != nil {
		t.Skipf("needs the real binaries: %v", err)
	}
	o := options{short: true, mostIdle: 10_000, dir: dir, out: filepath.Join(dir, "new", "results.json")}
	var table bytes.Buffer
	g.Expect(o.run(t.Context(), &table)).To(Succeed())

	data, err := os.ReadFile(o.out)
	g.Expect(err).NotTo(HaveOccurred())
	var results []result
	g.Expect(json.Unmarshal(data, &results)).To(Succeed())
	byName := map[string]result{}
	for _, result := range results {
		byName[result.Name] = result
	}
	for name, unit := range map[string]string{
		"update_to_file_median_ms":          "ms",
		"update_to_file_p99_ms":             "ms",
		"update_one_node_arrival_median_ms": "ms",
		"update_one_node_arrival_p99_ms":    "ms",
		"bulk_2000_50ms_persisted_s":        "s",
		"bulk_2000_50ms_applied_s":          "s",
		"bulk_2000_0ms_applied_s":           "s",
		"api_writes_per_delivery":           "writes",
		"agent_binary_bytes":                "bytes",
		"agent_rss_1000_objects_bytes":      "bytes",
		"reconnect_unchanged_bytes":         "bytes",

		"idle_rss_per_node_bytes":        "bytes",
		"idle_goroutines_per_node":       "goroutines",
		"idle_1000_cpu_s_per_min":        "s",
		"fanout_5000_median_ms":          "ms",
		"fanout_5000_last_ms":            "ms",
		"fanout_api_writes_per_delivery": "writes",
		"restart_1000_insync_s":          "s",
		"restart_1000_object_bytes":      "bytes",
		"storm_5000_insync_s":            "s",
		"storm_5000_bytes_per_node":      "bytes",
		"fleet_1000x10_s":                "s",
		"update_arrival_p50_ms":          "ms",
		"update_arrival_p99_ms":          "ms",
		"update_persisted_p99_ms":        "ms",
		"stuck_object_others_p99_ms":     "ms",
		"catchup_p99_ms":                 "ms",
		"bulk_objects_per_s_0ms":         "objects/s",
		"bulk_objects_per_s_50ms_rtt":    "objects/s",
		"bulk_10000_0ms_s":               "s",
		"bulk_10000_100ms_rtt_s":         "s",
		"delta_1kb_wire_bytes":           "bytes",
		"delta_100kb_wire_bytes":         "bytes",
		"ack_wire_bytes":                 "bytes",
	} {
		g.Expect(byName).To(HaveKey(name))
		g.Expect(byName[name].Unit).To(Equal(unit), name)
		g.Expect(byName[name].Settings).To(And(HaveKey("cpu"), HaveKey("kubernetes"), HaveKey("load1")), name)
		g.Expect(table.String()).To(ContainSubstring(name))
	}
	// Two round trips of handshakes and one of the session, with 50 ms each way.
	g.Expect(byName["bulk_2000_50ms_persisted_s"].Value).To(BeNumerically(">", 0.3))
	g.Expect(byName["reconnect_unchanged_bytes"].Settings).To(HaveKeyWithValue("objects_sent", BeZero()))
	g.Expect(byName["agent_binary_bytes"].Settings).To(HaveKeyWithValue("static", true))
	left, err := filepath.Glob(filepath.Join(dir, "run-*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(BeEmpty())
}

func TestUnknownGroup(t *testing.T) {
	o := options{group: "speed"}
	NewWithT(t).Expect(o.run(t.Context(), nil)).To(MatchError(And(ContainSubstring("speed"), ContainSubstring("sync"))))
}

const metricsText = `# HELP apiserver_request_total Counter of requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="configmaps",subresource="",verb="PUT",version="v1"} 3
apiserver_request_total{code="409",resource="configmaps",subresource="",verb="PUT",version="v1"} 1
apiserver_request_total{code="200",resource="edgenodes",subresource="status",verb="PATCH",version="v1"} 2e+00
apiserver_request_total{code="200",resource="configmaps",subresource="",verb="WATCH",version="v1"} 7
apiserver_request_total{code="200",resource="leases",subresource="",verb="PUT",version="v1"} 9
apiserver_other_total{resource="pods",subresource="",subverb="x",verb="PUT"} 9
process_start_time_seconds 1.7e+09
`

func TestWritesInMetrics(t *testing.T) {
	g := NewWithT(t)
	metrics, err := promtext.Parse(strings.NewReader(metricsText))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(metrics).To(HaveLen(7))
	g.Expect(metrics).To(HaveKeyWithValue("process_start_time_seconds", 1.7e9))
	g.Expect(writesIn(metrics)).To(Equal(map[string]float64{"PUT configmaps": 4, "PATCH edgenodes/status": 2}))

	_, err = promtext.Parse(strings.NewReader("up yes\n"))
	g.Expect(err).To(MatchError(ContainSubstring("up yes")))
}

func TestLabel(t *testing.T) {
	g := NewWithT(t)
	g.Expect(label(`m{subverb="x",verb="PUT"}`, "verb")).To(Equal("PUT"))
	g.Expect(label(`m{verb="GET",subverb="x"}`, "verb")).To(Equal("GET"))
	g.Expect(label("m", "verb")).To(BeEmpty())
}

func TestQuantile(t *testing.T) {
	g := NewWithT(t)
	values := []int{5, 1, 4, 2, 3}
	g.Expect(quantile(values, 0)).To(Equal(1))
	g.Expect(quantile(values, 0.5)).To(Equal(3))
	g.Expect(quantile(values, 1)).To(Equal(5))
	hundred := make([]int, 200)
	for i := range hundred {
		hundred[i] = i + 1
	}
	g.Expect(quantile(hundred, 0.99)).To(Equal(198))
}

func TestRenames(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	watch, err := watchRenames(dir)
	g.Expect(err).NotTo(HaveOccurred())
	defer watch.Close()
	before := time.Now()
	for _, name := range []string{"other.yaml", "settings.yaml"} {
		g.Expect(os.WriteFile(filepath.Join(dir, ".tmp"), nil, 0o600)).To(Succeed())
		g.Expect(os.Rename(filepath.Join(dir, ".tmp"), filepath.Join(dir, name))).To(Succeed())
	}
	at, err := watch.next(t.Context(), "settings.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(at).To(BeTemporally(">=", before))

	_, err = watchRenames(filepath.Join(dir, "missing"))
	g.Expect(err).To(MatchError(os.ErrNotExist))
}

func TestReport(t *testing.T) {
	g := NewWithT(t)
	r := &report{machine: settings{"cpu": "fast"}}
	r.add("update_to_file_median_ms", 12.345, "ms", settings{"nodes": 2})
	r.add("update_arrival_median_ms", 5, "ms", nil)
	r.add("agent_binary_bytes", 1234567, "bytes", nil)
	r.addRatio("ratio", "update_to_file_median_ms", "update_arrival_median_ms")
	r.addRatio("nonsense", "agent_binary_bytes", "missing")
	var table bytes.Buffer
	r.print(&table)
	g.Expect(table.String()).To(HavePrefix("cpu=fast\n"))
	g.Expect(table.String()).To(MatchRegexp(`update_to_file_median_ms +12\.3 +ms +<= 10 MISSED +load1=\S+ nodes=2`))
	g.Expect(table.String()).To(MatchRegexp(`agent_binary_bytes +1234567 +bytes +<= 30000000 met`))
	g.Expect(table.String()).To(MatchRegexp(`ratio +2\.47 +ratio`))
	g.Expect(table.String()).NotTo(ContainSubstring("nonsense"))
}
