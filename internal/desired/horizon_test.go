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

package desired

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestHorizon(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead, here func(*Index)
		behind      bool
	}{
		"nothing known on either side": {
			ahead: func(*Index) {}, here: func(*Index) {},
		},
		"nothing known here": {
			ahead: func(x *Index) { x.Advance(EdgeNodes, "7") }, here: func(*Index) {}, behind: true,
		},
		"nothing known there": {
			ahead: func(*Index) {}, here: func(x *Index) { x.Advance(EdgeNodes, "7") },
		},
		"the same": {
			ahead: func(x *Index) { x.Advance(ObjectSyncs, "7") }, here: func(x *Index) { x.Advance(ObjectSyncs, "7") },
		},
		"compared as numbers": {
			ahead: func(x *Index) { x.Advance(ObjectSyncs, "10") }, here: func(x *Index) { x.Advance(ObjectSyncs, "9") }, behind: true,
		},
		"another feed is ahead": {
			ahead:  func(x *Index) { x.Advance(ClusterObjectSyncs, "5") },
			here:   func(x *Index) { x.Advance(ObjectSyncs, "9"); x.Advance(EdgeNodes, "9") },
			behind: true,
		},
		"a list that began later knows of a deletion": {
			ahead: func(x *Index) { x.Advance(ObjectSyncs, "9") },
			here:  func(x *Index) { x.Advance(ObjectSyncs, "5"); x.Reached(ObjectSyncs, "100") },
		},
		"one that has listed later knows nothing more": {
			ahead: func(x *Index) { x.Advance(ObjectSyncs, "9"); x.Reached(ObjectSyncs, "100") },
			here:  func(x *Index) { x.Advance(ObjectSyncs, "9") },
		},
		"what comes late takes nothing back": {
			ahead: func(x *Index) { x.Advance(ObjectSyncs, "9") },
			here:  func(x *Index) { x.Advance(ObjectSyncs, "9"); x.Advance(ObjectSyncs, "3"); x.Reached(ObjectSyncs, "4") },
		},
		"versions that cannot be compared say nothing": {
			ahead: func(x *Index) {
				x.Advance(ObjectSyncs, "later")
				x.Advance(ObjectSyncs, strings.Repeat("9", 1000))
				x.Advance(EdgeNodes, "1,2,3")
			},
			here: func(*Index) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			ahead, here := NewIndex(nil), NewIndex(nil)
			c.ahead(ahead)
			c.here(here)
			g.Expect(here.Behind(ahead.Horizon())).To(Equal(c.behind))
			g.Expect(ahead.Behind(ahead.Horizon())).To(BeFalse())
		})
	}
}

func TestBehindTakesNoGarbage(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	index := NewIndex(nil)
	for _, horizon := range []string{
		"", ",", "1", "1,5,5", "1,5,5,5,5", "2,5,5,5", "1,a,b,c", "1,-5,05,5.5", "\x00\xff",
		"1,5,5," + strings.Repeat("9", MaxHorizon),
	} {
		g.Expect(index.Behind([]byte(horizon))).To(BeFalse(), horizon)
	}
	g.Expect(index.Behind([]byte("1,,,5"))).To(BeTrue())
	g.Expect(index.Behind(nil)).To(BeFalse())
}

func TestBeyond(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(Beyond("99", []byte("1,5,,100"))).To(BeTrue())
	g.Expect(Beyond("100", []byte("1,5,,100"))).To(BeFalse())
	g.Expect(Beyond("", []byte("1,5,,100"))).To(BeFalse(), "it cannot be compared")
	g.Expect(Beyond("99", []byte("2,5,,100"))).To(BeFalse())
	g.Expect(Beyond("99", nil)).To(BeFalse())
}

func FuzzBehind(f *testing.F) {
	f.Add([]byte("1,5,,17"))
	f.Add([]byte("1,x,5,"))
	f.Add([]byte(",,,,,,"))
	f.Fuzz(func(t *testing.T, horizon []byte) {
		index := NewIndex(nil)
		if !index.Behind(horizon) {
			return
		}
		versions, ok := parseHorizon(horizon)
		if !ok {
			t.Fatalf("behind %q, which cannot be read", horizon)
		}
		for feed, version := range versions {
			index.Advance(Feed(feed), version)
		}
		if index.Behind(horizon) {
			t.Fatalf("behind %q, having taken in all of it", horizon)
		}
	})
}
