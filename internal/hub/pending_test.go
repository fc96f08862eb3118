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
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// Connections are written as the letter of their source and a number.
func TestTheLongestQueueLosesItsOldest(t *testing.T) {
	for name, test := range map[string]struct {
		most int
		// "a1" comes, "-a1" goes.
		happens string
		dropped string
	}{
		"room for all":                          {3, "a1 b1 a2", ""},
		"one source loses its own":              {2, "a1 a2 a3 a4", "a1 a2"},
		"a flood leaves the others alone":       {4, "h1 a1 a2 a3 a4 a5 a6", "a1 a2 a3"},
		"a latecomer pushes out the flood":      {4, "a1 a2 a3 a4 h1", "a1"},
		"two floods take turns":                 {4, "a1 a2 b1 b2 a3 b3 a4 b4", "a1 b1 a2 b2"},
		"of equals the one that came first":     {2, "a1 b1 c1 d1", "a1 b1"},
		"the newest of many sources stays":      {1, "a1 b1 c1", "a1 b1"},
		"what has gone is not counted":          {2, "a1 a2 -a1 b1 -a2 b2", ""},
		"the oldest is by arrival, not by name": {3, "b1 a1 a2 -a1 b2 c1", "b1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p, named, nameOf := newPending(test.most), map[string]*conn{}, map[*conn]string{}
			var dropped []string
			for _, word := range strings.Fields(test.happens) {
				if gone, ok := strings.CutPrefix(word, "-"); ok {
					g.Expect(p.remove(named[gone])).To(BeTrue())
					g.Expect(p.remove(named[gone])).To(BeFalse())
					continue
				}
				c := &conn{source: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, word[0]}), 32)}
				named[word], nameOf[c] = c, word
				if victim := p.add(c); victim != nil {
					dropped = append(dropped, nameOf[victim])
				}
				g.Expect(p.count).To(BeNumerically("<=", test.most))
			}
			g.Expect(strings.Join(dropped, " ")).To(Equal(test.dropped))
		})
	}
}

// Whatever comes and goes, no source loses a connection to one that has more.
func TestNobodyPaysForAnother(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2))
	const most = 20
	p := newPending(most)
	var in []*conn
	pendingOf := func(source netip.Prefix) int { return len(p.queues[source]) }
	for range 20_000 {
		if len(in) > 0 && random.IntN(4) == 0 {
			at := random.IntN(len(in))
			p.remove(in[at])
			in = append(in[:at], in[at+1:]...)
			continue
		}
		c := &conn{source: netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(random.IntN(1 + random.IntN(8)))}), 32)}
		in = append(in, c)
		victim := p.add(c)
		g.Expect(p.count).To(BeNumerically("<=", most))
		if victim == nil {
			continue
		}
		g.Expect(victim).NotTo(BeIdenticalTo(c))
		for source := range p.queues {
			g.Expect(pendingOf(source)).To(BeNumerically("<=", pendingOf(victim.source)+1))
		}
		for i := range in {
			if in[i] == victim {
				in = append(in[:i], in[i+1:]...)
				break
			}
		}
	}
	for _, c := range in {
		g.Expect(p.remove(c)).To(BeTrue())
	}
	g.Expect(p.count).To(BeZero())
	g.Expect(p.queues).To(BeEmpty())
}
