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
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// outcomes counts what an attacker has got. It may be used concurrently.
type outcomes struct {
	mu     sync.Mutex
	counts map[string]int
}

func newOutcomes() *outcomes { return &outcomes{counts: map[string]int{}} }

func (o *outcomes) add(outcome string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts[outcome]++
}

func (o *outcomes) count(outcome string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts[outcome]
}

// String lists the outcomes, each with how often it came.
func (o *outcomes) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, outcome := range slices.Sorted(maps.Keys(o.counts)) {
		list = append(list, fmt.Sprintf("%s ×%d", outcome, o.counts[outcome]))
	}
	return strings.Join(list, ", ")
}

// check says which outcome has come although it is neither wanted nor possible, or which
// wanted one has not come. The close of a WebSocket may get lost: the hub does not wait
// long for a peer to take it.
func (o *outcomes) check(wanted, possible []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for outcome := range o.counts {
		means := func(other string) bool { return outcome == other || outcome == withoutClose(other) }
		if !slices.ContainsFunc(slices.Concat(wanted, possible), means) {
			return fmt.Errorf("the attacker got %q, not one of %q", outcome, wanted)
		}
	}
	for _, outcome := range wanted {
		if o.counts[outcome]+o.counts[withoutClose(outcome)] == 0 {
			return fmt.Errorf("the attacker never got %q", outcome)
		}
	}
	return nil
}

var closeCode = regexp.MustCompile(`close \d{4}$`)

// connectionClosed is all that is seen of a connection that ends without a word.
const connectionClosed = "connection closed"

func withoutClose(outcome string) string {
	return closeCode.ReplaceAllString(outcome, connectionClosed)
}

// unmoved are those of the counters that have not gone up.
func unmoved(before, after promtext.Series, counters []string) []string {
	var same []string
	for _, name := range counters {
		if after[name] <= before[name] {
			same = append(same, name)
		}
	}
	return same
}
