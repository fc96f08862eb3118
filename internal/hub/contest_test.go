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
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Sessions are written as a second and the machine, "10B": at that time it begins, and
// supersedes the one before.
func TestContest(t *testing.T) {
	repeated := func(every, times int, machines ...string) string {
		var all []string
		for i := range times {
			all = append(all, strconv.Itoa(i*every)+machines[i%len(machines)])
		}
		return strings.Join(all, " ")
	}
	for name, test := range map[string]struct {
		sessions string
		// begun and truces are the seconds at which a contest and a truce begin.
		begun, truces []int
		contested     bool
	}{
		"a flapping link":                {sessions: repeated(1, 100, "A")},
		"a reboot":                       {sessions: "0A 60B 61B 62B"},
		"some reboots":                   {sessions: "0A 10B 20C 30D 40E 50F"},
		"reboots for ever":               {sessions: repeated(13, 26, strings.Split("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "")...)},
		"more reboots than can be":       {sessions: repeated(5, 8, "A", "B", "C", "D", "E", "F", "G", "H"), begun: []int{30}, truces: []int{30}, contested: true},
		"two in turns":                   {sessions: "0A 45B 90A 135B", begun: []int{90}, contested: true},
		"two in haste":                   {sessions: repeated(1, 8, "A", "B"), begun: []int{2}, truces: []int{6}, contested: true},
		"two in haste again":             {sessions: "0A 1B 2A 3B 4A 5B 6A 70B 71A 72B 73A 74B 75A", begun: []int{2}, truces: []int{6, 75}, contested: true},
		"a thief of ever new faces":      {sessions: "0A 40X 80A 120Y 160A", begun: []int{80}, contested: true},
		"a flapping link among two":      {sessions: "0A 45B 46B 47B 48B 49B 50B 51B 52B 90A", begun: []int{90}, contested: true},
		"quiet for long":                 {sessions: "0A 45B 90A 700A", begun: []int{90}},
		"quiet for long, and then again": {sessions: "0A 45B 90A 700B 745A", begun: []int{90, 745}, contested: true},
		"back after long":                {sessions: "0A 45B 700A"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var c contest
			var begun, truces []int
			start := time.Unix(1, 0)
			last, now := claimant{}, start
			for _, session := range strings.Fields(test.sessions) {
				second, err := strconv.Atoi(strings.TrimRight(session, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
				g.Expect(err).NotTo(HaveOccurred())
				now = start.Add(time.Duration(second) * time.Second)
				next := claimant{machine{bootID: strings.TrimLeft(session, "0123456789")}, "from " + session}
				if last != (claimant{}) && next.machine != last.machine {
					free := c.refusal(now) == nil
					if c.takeover(now, last, next) {
						begun = append(begun, second)
						g.Expect(c.claimants).To(Equal([]string{last.address, next.address}))
					}
					if free && c.refusal(now) != nil {
						truces = append(truces, second)
					}
				}
				last = next
			}
			g.Expect(begun).To(Equal(test.begun), "contests")
			g.Expect(truces).To(Equal(test.truces), "truces")
			g.Expect(c.claimants != nil && !c.over(now)).To(Equal(test.contested))
			g.Expect(len(c.recent)).To(BeNumerically("<=", takeoversPerMinute))
		})
	}
}

func TestTruce(t *testing.T) {
	g := NewWithT(t)
	var none *contest
	now := time.Unix(1000, 0)
	free := func(c *contest, at time.Time) bool { return c.refusal(at) == nil }
	g.Expect(free(none, now)).To(BeTrue())
	c := &contest{truceUntil: now.Add(truce)}
	g.Expect(c.refusal(now).Status).To(Equal(http.StatusTooManyRequests))
	g.Expect(c.refusal(now.Add(truce / 4)).RetryAfter).To(Equal(truce * 3 / 4))
	g.Expect(free(c, now.Add(truce))).To(BeTrue())
}

func as(boot, store string, r *replica) *pb.AgentMessage {
	m := hello(r)
	m.GetHello().BootId, m.GetHello().StoreEpoch = boot, store
	return m
}

// Two machines with one identity: it is said where they are, once, and they are kept
// apart while they fight; the machine that has the session keeps it, and when they have
// been quiet all is well again.
func TestTwoMachinesFightForOneName(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		connect := func(boot, store string) (a *agent, r *replica) {
			a, r = w.connect("edge-1"), newReplica()
			a.send(as(boot, store, r))
			r.epoch = a.greet()
			a.follow(r)
			return a, r
		}
		contenders := func() []string { state, _ := w.hub.Node("edge-1"); return state.Contenders }
		quiet := func(a *agent) {
			w.background.Go(func() { a.pinging(20 * time.Second) })
			time.Sleep(contestMemory)
			synctest.Wait()
		}
		connect("boot-1", "store-1")
		connect("boot-2", "store-2")
		w.g.Expect(contenders()).To(BeNil(), "it may be another boot")
		connect("boot-2", "store-1")
		w.g.Expect(contenders()).To(BeNil())
		connect("boot-2", "store-2")
		w.g.Expect(contenders()).To(Equal([]string{"pipe", "pipe"}))
		connect("boot-1", "store-1")
		connect("boot-2", "store-2")
		last, r := connect("boot-1", "store-1")

		before := gathered(w.g)["refused_connections_total duplicate"]
		for range 3 {
			_, response, err := w.open("edge-1")
			w.g.Expect(err).To(MatchError(websocket.ErrBadHandshake))
			w.g.Expect(response.StatusCode).To(Equal(http.StatusTooManyRequests))
			w.g.Expect(strconv.Atoi(response.Header.Get("Retry-After"))).To(And(BeNumerically(">", 0), BeNumerically("<=", truce.Seconds())))
			w.g.Expect(body(w.g, response)).To(ContainSubstring("several machines use the identity of this node"))
		}
		w.g.Expect(gathered(w.g)["refused_connections_total duplicate"] - before).To(BeEquivalentTo(3))
		w.put(configMap("a", "10", "a"))
		w.g.Expect(names(last.follow(r))).To(Equal([]string{"+a", "bookmark"}))
		w.g.Expect(w.logs.of("Several machines use the identity", `"node":"edge-1"`)).To(HaveLen(1))
		w.g.Expect(w.logs.of("Refused a node")).To(BeEmpty())

		events := w.observer.nodeEvents("edge-1")
		quiet(last)
		w.g.Expect(contenders()).To(BeNil())
		w.g.Expect(w.observer.nodeEvents("edge-1")).To(Equal(events + 1))
		w.g.Expect(w.hub.contests).To(BeEmpty())
	})
}

// While nobody has the session, nobody is kept away: there is nothing to fight for.
func TestTruceEndsWithTheSession(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		var last *agent
		for i := range 2 + takeoversPerMinute {
			last = w.connect("edge-1")
			last.send(as(fmt.Sprint("boot-", i), "", newReplica()))
			last.nextWelcome()
		}
		w.g.Expect(w.hub.reserve("edge-1")).NotTo(Succeed())
		last.hangUp()
		synctest.Wait()
		w.connect("edge-1").sync(newReplica())
	})
}

// However often one machine connects, it is let in.
func TestFlappingLinkIsNeverHeldUp(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		var agents []*agent
		for range 50 {
			a := w.connect("edge-1")
			a.sync(newReplica())
			agents = append(agents, a)
		}
		slices.Reverse(agents)
		for _, a := range agents {
			a.hangUp()
		}
		w.g.Expect(w.hub.contests).To(BeEmpty())
	})
}
