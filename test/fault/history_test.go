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
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// history is what was done to the fleet and what it did by itself, with times. A file has
// it as well, for whoever cannot wait for the end.
type history struct {
	began time.Time
	file  *os.File

	mu     sync.Mutex
	lines  []string
	counts map[string]int
}

func newHistory(path string) (*history, error) {
	file, err := os.Create(path)
	return &history{began: time.Now(), file: file, counts: map[string]int{}}, err
}

func (h *history) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line := fmt.Sprintf("%s %8.3f s  ", time.Now().UTC().Format("15:04:05.000"), time.Since(h.began).Seconds()) + fmt.Sprintf(format, args...)
	h.lines = append(h.lines, line)
	fmt.Fprintln(h.file, line)
}

// count counts one fault of a kind.
func (h *history) count(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[kind]++
}

// summary says how often there was each kind of fault.
func (h *history) summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	kinds := slices.SortedFunc(maps.Keys(h.counts), func(a, b string) int {
		return cmp.Or(h.counts[b]-h.counts[a], strings.Compare(a, b))
	})
	var parts []string
	for _, kind := range kinds {
		parts = append(parts, fmt.Sprintf("%s %d", kind, h.counts[kind]))
	}
	return strings.Join(parts, ", ")
}

func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}
