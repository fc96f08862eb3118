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
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// manager is the process under attack, seen from outside.
type manager struct {
	pid     int
	metrics string // URL
}

// resetPeak makes the peak of the memory the present one.
func (m manager) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", m.pid), []byte("5"), 0)
}

// memory returns the present and the peak resident memory in bytes.
func (m manager) memory() (now, peak int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pid))
	if err != nil {
		return 0, 0, err
	}
	fields := map[string]int64{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err == nil {
			fields[name] = kilobytes << 10
		}
	}
	if fields["VmRSS"] == 0 || fields["VmHWM"] == 0 {
		return 0, 0, fmt.Errorf("the status of process %d tells no memory:\n%s", m.pid, data)
	}
	return fields["VmRSS"], fields["VmHWM"], nil
}

// files counts the open file descriptors.
func (m manager) files() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.pid))
	return len(entries), err
}

// uncompressed spares the manager the work of compressing what does not travel far, and
// leaves no connection behind.
var uncompressed = &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}

func (m manager) scrape(ctx context.Context) (promtext.Series, error) {
	return promtext.Scrape(ctx, uncompressed, m.metrics)
}
