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

package hostile

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// attack is one way to hurt the manager, and what has to come of it.
type attack struct {
	name string
	// run attacks until the siege is over, or until it has done all that it can.
	run func(*siege)
	// gets are the outcomes that the attacker gets, each of them and no other.
	gets []string
	// may are further outcomes, which may or may not come.
	may []string
	// counted are the manager's counters that have to go up.
	counted []string
	// growth bounds what it may add to the manager's memory; 0 means defaultGrowth.
	growth int64
	// writes is what it has the manager write to the API server by right.
	writes int
}

// siege is one attack while it goes on.
type siege struct {
	*world
	*outcomes
	t *testing.T
	g *WithT

	started sync.Once
	// first is the number of the first update that counts, and got how many have come
	// when the attack may end.
	first int
	got   chan int
	ctx   context.Context
	// atEnd is done when the attack is over.
	atEnd []func()
}

// start begins the attack: from now on the honest node has to get its updates.
func (s *siege) start() {
	s.started.Do(func() {
		limited, cancel := context.WithTimeout(context.Background(), patience)
		over, end := context.WithCancel(context.Background())
		s.first, s.got, s.ctx = s.honest.next(), make(chan int, 1), over
		go func() {
			defer cancel()
			defer end()
			s.got <- s.honest.await(limited, s.first+enough) - s.first
		}()
	})
}

// over tells whether the attack may end: the honest node has got enough updates since
// start, or none for too long. It starts the attack if nothing else has.
func (s *siege) over() bool {
	s.start()
	return s.ctx.Err() != nil
}

// goOn tells whether there is to be an attempt i, counted from 0: the first ones are made anyhow.
func (s *siege) goOn(i, atLeast int) bool { return !s.over() || i < atLeast }

// hold returns when the attack may end.
func (s *siege) hold() {
	s.start()
	<-s.ctx.Done()
}

// suffer lets an attack go on and judges what has come of it.
func (w *world) suffer(t *testing.T, a attack) row {
	g := NewWithT(t)
	before, err := w.manager.scrape(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.manager.resetPeak()).To(Succeed())
	used := memory{quiet: w.quiet.memory}
	used.before, _, err = w.manager.memory()
	g.Expect(err).NotTo(HaveOccurred())

	s := &siege{world: w, outcomes: newOutcomes(), t: t, g: g}
	began := time.Now()
	a.run(s)
	s.hold()
	for _, end := range s.atEnd {
		end()
	}
	g.Expect(<-s.got).To(BeNumerically(">=", enough), "updates that the honest node has got during the attack")
	sent := w.honest.next()
	w.expectArrival(g, sent)

	_, used.peak, err = w.manager.memory()
	g.Expect(err).NotTo(HaveOccurred())
	after, err := w.manager.scrape(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	writes := writesOf(after) - writesOf(before)
	t.Logf("%s; growth %s, %d API writes", s.outcomes, mebibytes(used.growth()), writes)
	g.Expect(s.check(a.gets, a.may)).To(Succeed())
	g.Expect(used.check(cmp.Or(a.growth, defaultGrowth))).To(Succeed())
	g.Expect(writes).To(BeNumerically("<=", a.writes+maxWrites(time.Since(began))))
	w.expectCounted(g, before, a.counted)
	w.expectRecovery(g)
	latencies := w.honest.latencies(s.first, sent)
	return row{
		attack: a.name, outcome: s.outcomes.String(), refusedAs: causes(a.counted), memory: used, writes: writes,
		updates: len(latencies), p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99),
	}
}

// maxWrites is how much the manager may write to the API server, whatever comes from outside.
func maxWrites(during time.Duration) int { return 30 + int(10*during/time.Second) }

// expectArrival waits until the honest node has got all updates below n.
func (w *world) expectArrival(g *WithT, n int) {
	limited, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	g.Expect(w.honest.await(limited, n)).To(BeNumerically(">=", n), "updates that the honest node has got after all")
}

// expectCounted waits until the counters have gone up: some do after the answer.
func (w *world) expectCounted(g *WithT, before promtext.Series, counters []string) {
	g.Eventually(func() ([]string, error) {
		after, err := w.manager.scrape(context.Background())
		return unmoved(before, after, counters), err
	}).WithTimeout(patience).Should(BeEmpty(), "counters that do not go up")
}

// expectRecovery waits until the manager has no more goroutines and open files than when
// all was quiet, and checks that the honest node has still the session that it had.
func (w *world) expectRecovery(g *WithT) {
	g.Eventually(func() (float64, error) {
		metrics, err := w.manager.scrape(context.Background())
		return metrics["go_goroutines"], err
	}).WithTimeout(patience).Should(BeNumerically("<=", w.quiet.goroutines+slack), "goroutines")
	g.Eventually(w.manager.files).WithTimeout(patience).Should(BeNumerically("<=", w.quiet.files+slack), "open files")
	node, err := w.edgeNode(honestName)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(node.Status.Session).NotTo(BeNil(), "the honest node is not connected")
	g.Expect(node.Status.Session.ID).To(Equal(w.session), "the honest node had to connect again")
}

// writesOf counts the requests of the manager that change something in the API server.
func writesOf(metrics promtext.Series) (total int) {
	for name, value := range metrics {
		if strings.HasPrefix(name, "rest_client_requests_total{") && !strings.Contains(name, `method="GET"`) {
			total += int(value)
		}
	}
	return total
}

// inParallel does something count times, and at most workers at once.
func inParallel(workers, count int, do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(workers)
	for i := range count {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

// The manager's counters, by what they count.

func refused(cause string) string {
	return fmt.Sprintf("edgesync_hub_refused_connections_total{cause=%q}", cause)
}

func notJoined(result string) string {
	return fmt.Sprintf("edgesync_join_requests_total{result=%q}", result)
}

func notRenewed(result string) string {
	return fmt.Sprintf("edgesync_renew_requests_total{result=%q}", result)
}

var counterParts = regexp.MustCompile(`^edgesync_(hub|join|renew)_.*="(.*)"}$`)

// causes are counters as the table shows them: which it is, and its label.
func causes(counters []string) string {
	shown := []string{"–"}
	for i, name := range counters {
		shown = append(shown[:i], counterParts.ReplaceAllString(name, "$1 $2"))
	}
	return strings.Join(shown, ", ")
}
