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

package link

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func always(value float64) func() float64 {
	return func() float64 { return value }
}

func TestBackoffDoublesUpToTheMaximum(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	b := backoff{max: 10 * time.Second, random: always(1)}

	var delays []time.Duration
	for range 7 {
		delays = append(delays, b.next(ending{}))
	}

	g.Expect(delays).To(Equal([]time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		10 * time.Second, 10 * time.Second,
	}))
}

func TestBackoffHasFullJitter(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	b := backoff{max: time.Minute, failures: 4}

	b.random = always(0)
	g.Expect(b.next(ending{})).To(BeZero())
	b.random = always(0.5)
	g.Expect(b.next(ending{})).To(Equal(8 * time.Second))
}

func TestBackoffByCause(t *testing.T) {
	t.Parallel()
	const failures = 6 // a ceiling of 32 s
	for name, test := range map[string]struct {
		end               ending
		shortest, longest time.Duration
		failuresAfter     int
	}{
		"a session that lasted begins anew": {
			ending{lasted: settled}, 0, 500 * time.Millisecond, 1},
		"a session that did not last is one more failure": {
			ending{lasted: settled - 1}, 0, 32 * time.Second, failures + 1},
		"superseded waits long, and counts for nothing": {
			ending{cause: superseded}, 30 * time.Second, time.Minute, failures},
		"superseded after a long session too": {
			ending{cause: superseded, lasted: time.Hour}, 30 * time.Second, time.Minute, 0},
		"drained goes elsewhere soon": {
			ending{cause: drained}, 0, time.Second, 0},
		"the hub's wish is the least": {
			ending{cause: refused, retryAfter: 20 * time.Second}, 20 * time.Second, 52 * time.Second, failures + 1},
		"a wish is spread by half of it": {
			ending{cause: refused, retryAfter: 5 * time.Minute}, 5 * time.Minute, 7*time.Minute + 30*time.Second, failures + 1},
		"a wish is bounded": {
			ending{cause: refused, retryAfter: 24 * time.Hour}, 10 * time.Minute, 15 * time.Minute, failures + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			shortest := backoff{max: time.Minute, random: always(0), failures: failures}
			longest := backoff{max: time.Minute, random: always(1), failures: failures}

			g.Expect(shortest.next(test.end)).To(Equal(test.shortest))
			g.Expect(longest.next(test.end)).To(Equal(test.longest))
			g.Expect(longest.failures).To(Equal(test.failuresAfter))
		})
	}
}
