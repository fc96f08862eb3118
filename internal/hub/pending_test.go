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
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func connFrom(letter byte) *conn {
	return &conn{source: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, letter}), 32)}
}

// Connections are written as the letter of their source and a number.
func TestTheLongestQueueLosesItsOldest(t *testing.T) {
	for name, test := range map[string]struct {
		most int
		// "a1" comes, "-a1" goes.
		happens string
		dropped string
	}{
		"room for all":                          {3, "a1 b1 a2", ""},
		"one source waits":                      {2, "a1 a2 a3 a4", ""},
		"a flood leaves the others alone":       {4, "h1 a1 a2 a3 a4 a5 a6", ""},
		"a latecomer pushes out the flood":      {4, "a1 a2 a3 a4 h1", "a1"},
		"a flood gives way until it is no more": {4, "a1 a2 a3 a4 h1 h2 h3", "a1 a2"},
		"equals wait":                           {2, "a1 b1 c1 d1", ""},
		"what has gone is not counted":          {2, "a1 a2 -a1 b1 -a2 b2", ""},
		"the oldest is by arrival, not by name": {3, "b1 a1 a2 -a1 b2 c1", "b1"},
		"only so many wait":                     {1, "a1 a2 a3 a4 a5 a6 a7 a8 a9 aA aB", "a2 a3"},
		"a flood that waits is the one to go":   {1, "a1 b1 a2 a3 a4 a5 a6 a7 a8 a9", "a2"},
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
				c := connFrom(word[0])
				named[word], nameOf[c] = c, word
				overflow := p.arrive(c, time.Unix(0, 0))
				_, displaced := p.next(time.Unix(0, 0))
				for _, victim := range []*conn{overflow, displaced} {
					if victim != nil {
						dropped = append(dropped, nameOf[victim])
					}
				}
				g.Expect(p.served.count).To(BeNumerically("<=", test.most))
			}
			g.Expect(strings.Join(dropped, " ")).To(Equal(test.dropped))
		})
	}
}

// Who waits is served when there is room, and the source that is served least first.
func TestWaitingIsServed(t *testing.T) {
	g := NewWithT(t)
	p, start := newPending(3), time.Unix(0, 0)
	next := func() *conn {
		c, victim := p.next(start)
		g.Expect(victim).To(BeNil())
		return c
	}
	a1, a2, a3, b1, b2 := connFrom('a'), connFrom('a'), connFrom('a'), connFrom('b'), connFrom('b')
	for _, c := range []*conn{a1, b1, a2} {
		g.Expect(p.arrive(c, start)).To(BeNil())
		g.Expect(next()).To(BeIdenticalTo(c))
	}
	for _, c := range []*conn{a3, b2} {
		g.Expect(p.arrive(c, start)).To(BeNil())
		g.Expect(next()).To(BeNil(), "there is no room")
	}
	g.Expect(p.remove(b1)).To(BeTrue())
	g.Expect(next()).To(BeIdenticalTo(b2), "though another has waited for longer")
	g.Expect(p.remove(a1)).To(BeTrue())
	g.Expect(next()).To(BeIdenticalTo(a3))
	g.Expect(p.waiting.count).To(BeZero())
}

func TestWhoStallsMakesRoom(t *testing.T) {
	g := NewWithT(t)
	p, start := newPending(2), time.Unix(0, 0)
	all := make([]*conn, 4)
	for i := range all {
		all[i] = &conn{}
		p.arrive(all[i], start)
		p.next(start)
	}
	g.Expect(p.next(start.Add(time.Hour))).To(BeNil(), "who is computed for does not stall")
	all[1].silent.Store(start.Add(time.Second).UnixNano())
	g.Expect(p.next(start.Add(stallPatience))).To(BeNil())
	c, victim := p.next(start.Add(time.Second + stallPatience))
	g.Expect(c).To(BeIdenticalTo(all[3]), "the newest, as the hub is overloaded")
	g.Expect(victim).To(BeIdenticalTo(all[1]))
	g.Expect(p.remove(all[0])).To(BeTrue())
	g.Expect(p.next(start.Add(time.Hour))).To(BeIdenticalTo(all[2]))
}

// Who stalls makes room for others that have as few, though another source has as many that
// do not.
func TestWhoStallsMakesRoomForOthers(t *testing.T) {
	g := NewWithT(t)
	p, start := newPending(2), time.Unix(0, 0)
	a, b, c := connFrom('a'), connFrom('b'), connFrom('c')
	for _, each := range []*conn{a, b, c} {
		p.arrive(each, start)
		p.next(start)
	}
	b.silent.Store(start.Add(time.Nanosecond).UnixNano())
	served, victim := p.next(start.Add(stallPatience + time.Nanosecond))
	g.Expect(served).To(BeIdenticalTo(c))
	g.Expect(victim).To(BeIdenticalTo(b))
}

// Twice as many agents come each second as the hub can serve, and give up and come again.
// It serves those who are still there until they are done, almost always.
func TestOverloadDoesNotCollapse(t *testing.T) {
	g := NewWithT(t)
	const (
		agents     = 5000
		tick       = 10 * time.Millisecond // in which one handshake can be done
		patience   = 10 * time.Second
		takes      = time.Second // from the turn to the end of a handshake, beside others
		observed   = 40 * time.Second
		possible   = int(observed / tick)
		firstCome  = 5 * time.Second
		comesAgain = 5 * time.Second
	)
	random := rand.New(rand.NewPCG(1, 2))
	p, start := newPending(400), time.Unix(0, 0)
	due := map[*conn]time.Time{}
	for range agents {
		due[&conn{}] = start.Add(time.Duration(random.Int64N(int64(firstCome))))
	}
	entered, done := map[*conn]bool{}, map[*conn]time.Time{}
	for now := start; now.Before(start.Add(observed)); now = now.Add(tick) {
		for c, at := range due {
			switch {
			case at.After(now):
			case !entered[c]:
				entered[c], due[c] = true, now.Add(patience)
				if victim := p.arrive(c, now); victim != nil {
					entered[victim], due[victim] = false, now.Add(time.Duration(random.Int64N(int64(comesAgain))))
				}
			default: // it gives up
				p.remove(c)
				delete(done, c)
				entered[c], due[c] = false, now.Add(time.Duration(random.Int64N(int64(comesAgain))))
			}
		}
		if c, _ := p.next(now); c != nil {
			done[c] = now.Add(takes)
		}
		for c, at := range done {
			if !at.After(now) {
				p.remove(c)
				delete(done, c)
				delete(due, c)
			}
		}
	}
	g.Expect(agents - len(due)).To(BeNumerically(">=", possible*9/10))
}

// Whatever comes and goes, no source loses a connection to one that has as many.
func TestNobodyPaysForAnother(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2))
	const most = 20
	p := newPending(most)
	var in []*conn
	leave := func(c *conn) { in = slices.DeleteFunc(in, func(other *conn) bool { return other == c }) }
	serve := func() {
		for {
			c, victim := p.next(time.Unix(0, 0))
			if victim != nil {
				g.Expect(len(p.served.of[victim.source])).To(BeNumerically(">=", len(p.served.of[c.source])))
				leave(victim)
			}
			if c == nil {
				break
			}
		}
		g.Expect(p.waiting.count == 0 || p.served.count == most).To(BeTrue(), "nobody waits while there is room")
	}
	for range 20_000 {
		if len(in) > 0 && random.IntN(4) == 0 {
			c := in[random.IntN(len(in))]
			g.Expect(p.remove(c)).To(BeTrue())
			leave(c)
			serve()
			continue
		}
		c := connFrom(byte(random.IntN(1 + random.IntN(8))))
		in = append(in, c)
		if victim := p.arrive(c, time.Unix(0, 0)); victim != nil {
			g.Expect(len(p.waiting.of[victim.source]) + 1).To(BeNumerically(">=", len(p.waiting.of[c.source])))
			leave(victim)
		}
		serve()
		g.Expect(p.served.count).To(BeNumerically("<=", most))
		g.Expect(p.waiting.count).To(BeNumerically("<=", waitingFactor*most))
	}
	for _, c := range in {
		g.Expect(p.remove(c)).To(BeTrue())
	}
	g.Expect(p.served.of).To(BeEmpty())
	g.Expect(p.waiting.of).To(BeEmpty())
}
