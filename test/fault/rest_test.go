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

package fault

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	. "github.com/onsi/gomega"
)

// growth is how much larger what a program takes may be after the faults than before.
const growth = 1.2

// usage is what a program takes while the fleet is at rest.
type usage struct {
	RSS, Files, Goroutines float64
	StateFiles             []string
}

// atRest is the usage of every program by name, once all is quiet.
func (w *world) atRest(when string) map[string]usage {
	w.becomesQuiet(when)
	all := map[string]usage{}
	for _, m := range w.members() {
		var used usage
		w.Eventually(func() (err error) {
			used, err = w.usageOf(w.t.Context(), m)
			return err
		}).Should(Succeed(), m.name)
		w.t.Logf("%s: %s takes %.1f MB, %.0f files, %.0f goroutines", when, m.name, used.RSS/1e6, used.Files, used.Goroutines)
		all[m.name] = used
	}
	return all
}

func (w *world) usageOf(ctx context.Context, m *member) (usage, error) {
	m.running.Lock()
	defer m.running.Unlock()
	used, err := processUsage(m.PID())
	if err != nil {
		return used, err
	}
	for _, r := range w.replicas {
		if r.name == m.name {
			series, err := r.manager.Metrics(ctx)
			used.Goroutines = series["go_goroutines"]
			return used, err
		}
	}
	for _, n := range w.nodes {
		if n.name == m.name {
			used.StateFiles, err = stateFiles(n.agent.StateDir())
		}
	}
	return used, err
}

func processUsage(pid int) (used usage, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return used, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		return used, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return usage{RSS: float64(kilobytes) * 1024, Files: float64(len(files))}, err
}

func stateFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		files = append(files, strings.TrimPrefix(path, dir))
		return err
	})
	return files, err
}

// expectNothingLeaked waits until every program is back where it was. A replica is
// compared with the largest of before: it may have come to serve other nodes.
func (w *world) expectNothingLeaked(before, after map[string]usage) {
	var largest usage
	for _, r := range w.replicas {
		b := before[r.name]
		largest = usage{max(largest.RSS, b.RSS), max(largest.Files, b.Files), max(largest.Goroutines, b.Goroutines), nil}
	}
	for _, m := range w.members() {
		limit := before[m.name]
		if m.Name() == "manager" {
			limit = largest
			limit.Goroutines += 2 * agentCount
			limit.Files += agentCount
		}
		w.Expect(after[m.name].StateFiles).To(Equal(limit.StateFiles), m.name)
		w.Eventually(w.usageOf).WithContext(w.t.Context()).WithArguments(m).Should(And(
			HaveField("RSS", BeNumerically("<=", limit.RSS*growth)),
			HaveField("Files", BeNumerically("<=", limit.Files*growth+2)),
			HaveField("Goroutines", BeNumerically("<=", limit.Goroutines*growth))), m.name)
	}
}

// compareGoroutines ends the agents with all their goroutines in the log. Those of agents
// that have been through faults are no more than those of one that has just begun.
func (w *world) compareGoroutines() {
	fresh := w.nodes[0]
	w.Expect(fresh.Kill()).To(Succeed())
	w.Expect(fresh.start(w.t.Context())).To(Succeed())
	w.becomesQuiet("for the goroutines")
	counts := map[string]int{}
	for _, n := range w.nodes {
		w.Expect(n.Quit()).To(Succeed())
		log, err := os.ReadFile(n.LogPath())
		w.Expect(err).NotTo(HaveOccurred())
		stacks := log[max(0, bytes.LastIndex(log, []byte("SIGQUIT: quit"))):]
		counts[n.name] = bytes.Count(stacks, []byte("\ngoroutine "))
	}
	w.t.Logf("goroutines of the agents: %v", counts)
	for name, count := range counts {
		w.Expect(count).To(And(BeNumerically(">", 3), BeNumerically("<=", float64(counts[fresh.name])*growth+2)), name)
	}
}

// expectNoCrash fails when a program has panicked, or has found a data race in itself.
func (w *world) expectNoCrash() {
	for _, m := range w.members() {
		w.Expect(m.Crash()).To(BeEmpty(), m.name)
	}
}
