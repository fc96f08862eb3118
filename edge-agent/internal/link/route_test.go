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
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

const (
	atA = "https://a:1"
	atB = "https://b:2"
	atC = "https://c:3"
)

func TestARoundGoesThroughAllAddresses(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	r := route{backoff: backoff{max: 3 * time.Second, random: always(1), failures: steady - 3}}

	hub := atA
	var hubs []string
	var delays []time.Duration
	for range 15 {
		var delay time.Duration
		hub, delay = r.next(hub, ending{}, []string{atA, atB, atC})
		hubs, delays = append(hubs, hub), append(delays, delay)
	}

	g.Expect(hubs).To(Equal([]string{atB, atC, atA, atB, atC, atA, atB, atC, atA, atB, atC, atA, atB, atC, atA}))
	g.Expect(delays).To(Equal([]time.Duration{
		firstDelay, firstDelay, 500 * time.Millisecond,
		firstDelay, firstDelay, 500 * time.Millisecond,
		firstDelay, firstDelay, 500 * time.Millisecond,
		firstDelay, firstDelay, time.Second,
		firstDelay, firstDelay, time.Second,
	}))
}

func TestRouteByCause(t *testing.T) {
	t.Parallel()
	const failures = 6 * steady // a ceiling of 32 s
	both := []string{atA, atB}
	for name, test := range map[string]struct {
		hub               string
		end               ending
		hubs              []string
		next              string
		shortest, longest time.Duration
		failuresAfter     int
	}{
		"an address that fails is followed by the next": {
			atA, ending{}, both, atB, 0, firstDelay, failures},
		"the last one ends the round": {
			atA, ending{}, both[:1], atA, 0, 32 * time.Second, failures + 1},
		"a session that lasted begins anew, where it was": {
			atB, ending{lasted: settled}, both, atB, 0, firstDelay, 1},
		"a session that did not last is one more failure": {
			atB, ending{lasted: settled - 1}, both, atA, 0, firstDelay, failures},
		"a session elsewhere that lasted goes home": {
			atC, ending{lasted: settled}, both, atA, 0, firstDelay, 1},
		"superseded waits long, and counts for nothing": {
			atB, ending{cause: superseded}, both, atB, 30 * time.Second, time.Minute, failures},
		"superseded after a long session too": {
			atB, ending{cause: superseded, lasted: time.Hour}, both, atB, 30 * time.Second, time.Minute, 0},
		"drained goes elsewhere soon": {
			atB, ending{cause: drained, redirect: atC, lasted: settled}, both, atC, 0, maxDrainSpread, 1},
		"drained to nowhere goes to the preferred one": {
			atB, ending{cause: drained, lasted: settled}, both, atA, 0, maxDrainSpread, 1},
		"drained within the time that there is": {
			atB, ending{cause: drained, spread: 3 * time.Second, lasted: settled}, both, atA, 0, 3 * time.Second, 1},
		"drained without time": {
			atB, ending{cause: drained, spread: time.Millisecond, lasted: settled}, both, atA, 0, minDrainSpread, 1},
		"drained with very much time": {
			atB, ending{cause: drained, spread: time.Hour, lasted: settled}, both, atA, 0, maxDrainSpread, 1},
		"drained again and again takes ever longer": {
			atB, ending{cause: drained}, both, atA, 0, 32 * time.Second, failures + 1},
		"reconnects at once, where it was": {
			atB, ending{cause: reconnecting}, both, atB, 0, 0, failures},
		"reconnects where the hub is now": {
			atB, ending{cause: reconnecting, lasted: settled}, []string{atC, atA}, atC, 0, 0, 0},
		"another address need not heed the wish of one": {
			atA, ending{cause: refused, retryAfter: time.Minute}, both, atB, 0, firstDelay, failures},
		"the hub's wish is the least": {
			atA, ending{cause: refused, retryAfter: 20 * time.Second}, both[:1], atA, 20 * time.Second, 52 * time.Second, failures + 1},
		"a wish is spread by half of it": {
			atA, ending{cause: refused, retryAfter: 5 * time.Minute}, both[:1], atA, 5 * time.Minute, 7*time.Minute + 30*time.Second, failures + 1},
		"a wish is bounded": {
			atA, ending{cause: refused, retryAfter: 24 * time.Hour}, both[:1], atA, 10 * time.Minute, 15 * time.Minute, failures + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			for value, delay := range map[float64]time.Duration{0: test.shortest, 1: test.longest} {
				r := route{backoff: backoff{max: time.Minute, random: always(value), failures: failures}}
				next, wait := r.next(test.hub, test.end, test.hubs)
				g.Expect(next).To(Equal(test.next))
				g.Expect(wait).To(Equal(delay))
				g.Expect(r.failures).To(Equal(test.failuresAfter))
			}
		})
	}
}

func TestTheLongestWishOfARoundCounts(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	r := route{backoff: backoff{max: time.Minute, random: always(0)}}
	hub, delay := r.next(atA, ending{cause: refused, retryAfter: time.Minute}, []string{atA, atB})
	g.Expect([]any{hub, delay}).To(Equal([]any{atB, time.Duration(0)}))
	hub, delay = r.next(atB, ending{}, []string{atA, atB})
	g.Expect([]any{hub, delay}).To(Equal([]any{atA, time.Minute}))

	_, _ = r.next(atA, ending{}, []string{atA, atB})
	_, delay = r.next(atB, ending{}, []string{atA, atB})
	g.Expect(delay).To(BeZero(), "the next round has wishes of its own")
}

func TestAddressesMayChangeWithinARound(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	r := route{backoff: backoff{max: time.Minute, random: always(1)}}
	hub, _ := r.next(atA, ending{}, []string{atB, atA})
	g.Expect(hub).To(Equal(atB))
	hub, _ = r.next(atB, ending{}, []string{atC})
	g.Expect(hub).To(Equal(atC))
	g.Expect(r.failures).To(Equal(1), "addresses that change all the time do not make a round endless")
}

// When a replica drains, its nodes come back evenly spread, and none later than the time
// that it had for them.
func TestADrainSpreadsTheNodes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const nodes, spread = 10_000, 5 * time.Second
	random := rand.New(rand.NewPCG(1, 2))
	var perSecond [5]int
	for range nodes {
		r := route{backoff: backoff{max: time.Minute, random: random.Float64}}
		_, delay := r.next(atA, ending{cause: drained, spread: spread, lasted: time.Hour}, []string{atA})
		perSecond[delay/time.Second]++
	}
	for _, count := range perSecond {
		g.Expect(count).To(BeNumerically("~", nodes/5, nodes/20))
	}
}
