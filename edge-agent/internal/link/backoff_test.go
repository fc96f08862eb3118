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

	for _, want := range []time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second,
	} {
		for range steady {
			g.Expect(b.next(0)).To(Equal(want))
		}
	}
}

func TestBackoffHasFullJitter(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	b := backoff{max: time.Minute, failures: 4 * steady}

	b.random = always(0)
	g.Expect(b.next(0)).To(BeZero())
	b.random = always(0.5)
	g.Expect(b.next(0)).To(Equal(4 * time.Second))
}
