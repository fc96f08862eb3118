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
	"fmt"
	"math"
	"strconv"
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

// horizonOf is the horizon of an index that has taken in these versions of the feeds.
func horizonOf(versions ...string) []byte {
	index := NewIndex(nil)
	for feed, version := range versions {
		index.Advance(Feed(feed), version)
	}
	return index.Horizon()
}

func TestHorizonIsShort(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(horizonOf("1234567", "1234567", "1234567")).To(HaveLen(10))
	highest := fmt.Sprint(uint64(math.MaxUint64))
	g.Expect(horizonOf(highest, highest, highest)).To(HaveLen(MaxHorizon))
	g.Expect(NewIndex(nil).Behind(horizonOf("", "", highest))).To(BeTrue())
}

func TestBehindTakesNoGarbage(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	index := NewIndex(nil)
	for _, horizon := range []string{
		"", "\x02", "\x02\x05", "\x02\x05\x05", "\x02\x05\x05\x05\x05", "\x03\x05\x05\x05", "1,5,5,5", "\x02\x05\x05\xff",
		"\x02\x05\x05" + strings.Repeat("\xff", MaxHorizon),
	} {
		g.Expect(index.Behind([]byte(horizon))).To(BeFalse(), "%q", horizon)
	}
	g.Expect(index.Behind([]byte("\x02\x00\x00\x05"))).To(BeTrue())
	g.Expect(index.Behind(nil)).To(BeFalse())
}

func TestBeyond(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	horizon := horizonOf("5", "", "100")
	g.Expect(Beyond("99", horizon)).To(BeTrue())
	g.Expect(Beyond("100", horizon)).To(BeFalse())
	g.Expect(Beyond("", horizon)).To(BeFalse(), "it cannot be compared")
	g.Expect(Beyond("99", []byte("\x03\x05\x00\x64"))).To(BeFalse())
	g.Expect(Beyond("99", nil)).To(BeFalse())
}

func FuzzBehind(f *testing.F) {
	f.Add(horizonOf("5", "", "17"))
	f.Add([]byte("\x02\xff\xff\x00"))
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
			index.Advance(Feed(feed), strconv.FormatUint(version, 10))
		}
		if index.Behind(horizon) {
			t.Fatalf("behind %q, having taken in all of it", horizon)
		}
	})
}
