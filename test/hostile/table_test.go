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

package hostile

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// row is what came of one attack.
type row struct {
	attack, outcome, refusedAs string
	memory                     memory
	writes, updates            int
	p50, p99                   time.Duration
}

// memory is the resident memory of the manager, in bytes.
type memory struct {
	// quiet is that before all attacks, before that before this one, and peak the most
	// during this one.
	quiet, before, peak int64
}

func (m memory) growth() int64 { return max(0, m.peak-m.before) } // the kernel counts roughly

// maxPeak bounds the peak above the quiet manager's memory: what attacks leave behind
// adds up, however little each of them adds.
const maxPeak = 256 << 20

// check says which bound the memory has exceeded.
func (m memory) check(maxGrowth int64) error {
	switch {
	case m.growth() > maxGrowth:
		return fmt.Errorf("the memory grew by %s, by more than %s", mebibytes(m.growth()), mebibytes(maxGrowth))
	case m.peak-m.quiet > maxPeak:
		return fmt.Errorf("the memory had a peak of %s; it was %s when all was quiet, and may grow by %s",
			mebibytes(m.peak), mebibytes(m.quiet), mebibytes(maxPeak))
	}
	return nil
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func (r row) cells() []string {
	return []string{
		r.attack, r.outcome, r.refusedAs,
		mebibytes(r.memory.peak), mebibytes(r.memory.growth()), fmt.Sprint(r.writes),
		fmt.Sprint(r.updates), milliseconds(r.p50), milliseconds(r.p99),
	}
}

var columns = []string{"attack", "what the attacker gets", "refused as", "peak RSS", "growth", "API writes", "honest updates", "p50", "p99"}

// format aligns the rows, with the bars of a Markdown table.
func format(rows []row) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 1, ' ', 0)
	line := func(cells []string) { fmt.Fprintf(w, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	line(columns)
	fmt.Fprintln(w, strings.Repeat("|---\t", len(columns))+"|")
	for _, r := range rows {
		line(r.cells())
	}
	_ = w.Flush()
	return text.String()
}
