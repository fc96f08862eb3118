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

package delivery

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestTextsKeepsTheLastInFull(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var kept texts
	long := strings.Repeat("ä", 200)
	came := make([]string, fullTexts+3)
	for i := range came {
		came[i] = fmt.Sprint(i, long)
		kept.keep(&came[i])
		kept.keep(&came[i]) // the same once more
	}
	for i, text := range came {
		if i < 3 {
			g.Expect(text).To(HavePrefix(fmt.Sprint(i, "ä")))
			g.Expect(text).To(HaveSuffix("ä…"))
			g.Expect(len(text)).To(BeNumerically("<=", shortText+len("…")))
		} else {
			g.Expect(text).To(Equal(fmt.Sprint(i, long)))
		}
	}
}

func TestTextsLeavesShortOnesAlone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var kept texts
	short := strings.Repeat("x", shortText)
	for range 2 * fullTexts {
		kept.keep(&short)
	}
	g.Expect(kept.ring).To(BeEmpty())
	g.Expect(short).To(HaveLen(shortText))
}

// A text that is replaced while others come is shortened no sooner than they are.
func TestTextsReplaced(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var kept texts
	flapping, other := "", strings.Repeat("o", 100)
	kept.keep(&other)
	for i := range 3 * fullTexts {
		flapping = fmt.Sprintf("%d %s", i, strings.Repeat("f", 100))
		kept.keep(&flapping)
	}
	g.Expect(kept.ring).To(HaveLen(2))
	g.Expect(other).To(HaveLen(100))
	g.Expect(flapping).To(HaveLen(105))
}
