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

package hub

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestRush(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	start := time.Unix(1000, 0)
	var r rush
	g.Expect(r.on(start)).To(BeFalse())
	for i := range 10 * rushOpenings {
		at := start.Add(time.Duration(i) * 2 * time.Second / rushOpenings)
		r.opening(at)
		g.Expect(r.on(at)).To(BeFalse(), "nodes come and go")
	}
	start = start.Add(time.Hour)
	for range rushOpenings {
		g.Expect(r.on(start)).To(BeFalse())
		r.opening(start)
	}
	g.Expect(r.on(start)).To(BeTrue())
	for i := range 5 * rushOpenings {
		start = start.Add(time.Second / rushOpenings / 2)
		r.opening(start)
		g.Expect(r.on(start)).To(BeTrue(), "after %d more", i)
	}
	g.Expect(r.on(start.Add(time.Second))).To(BeFalse(), "it is over")
}
