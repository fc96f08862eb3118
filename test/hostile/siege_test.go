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
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
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
}

// siege is one attack while it goes on.
type siege struct {
	*world
	*outcomes
	t *testing.T
	g *WithT
	// ctx is done when the attack is over: the honest node has got enough updates, or
	// none for too long.
	ctx context.Context
}

// over tells whether the attack may end.
func (s *siege) over() bool { return s.ctx.Err() != nil }

// hold returns when the attack may end.
func (s *siege) hold() { <-s.ctx.Done() }

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
	first := w.honest.next()
	end := s.start(first)
	a.run(s)
	g.Expect(end()).To(BeNumerically(">=", enough), "updates that the honest node has got during the attack")
	sent := w.honest.next()
	limited, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.Expect(w.honest.await(limited, sent)).To(BeNumerically(">=", sent), "updates that the honest node has got after all")

	_, used.peak, err = w.manager.memory()
	g.Expect(err).NotTo(HaveOccurred())
	after, err := w.manager.scrape(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	writes := writesOf(after) - writesOf(before)
	t.Logf("%s; growth %s, %d writes to the API server", s.outcomes, mebibytes(used.growth()), writes)
	g.Expect(s.check(a.gets, a.may)).To(Succeed())
	g.Expect(used.check(max(a.growth, defaultGrowth))).To(Succeed())
	w.expectCounted(g, t.Context(), before, a.counted)
	w.expectRecovery(g, t.Context())
	latencies := w.honest.latencies(first, sent)
	return row{
		attack: a.name, outcome: s.outcomes.String(), refusedAs: causes(a.counted), memory: used,
		updates: len(latencies), p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99),
	}
}

// start starts the clock; end returns how many updates the honest node has got, at least
// enough unless it has got none for too long.
func (s *siege) start(first int) (end func() int) {
	limited, cancelLimited := context.WithTimeout(s.t.Context(), patience)
	ctx, cancel := context.WithCancel(limited)
	s.ctx = ctx
	got := make(chan int, 1)
	go func() {
		got <- s.honest.await(limited, first+enough) - first
		cancel()
	}()
	return func() int {
		defer cancelLimited()
		return <-got
	}
}

// expectCounted waits until the counters have gone up: some do after the answer.
func (w *world) expectCounted(g *WithT, ctx context.Context, before series, counters []string) {
	g.Eventually(func() ([]string, error) {
		after, err := w.manager.scrape(ctx)
		return unmoved(before, after, counters), err
	}).WithTimeout(patience).Should(BeEmpty(), "counters that do not go up")
}

// expectRecovery waits until the manager has no more goroutines and open files than when
// all was quiet, and checks that the honest node has still the session that it had.
func (w *world) expectRecovery(g *WithT, ctx context.Context) {
	g.Eventually(func() (float64, error) {
		metrics, err := w.manager.scrape(ctx)
		return metrics["go_goroutines"], err
	}).WithTimeout(patience).Should(BeNumerically("<=", w.quiet.goroutines+slack), "goroutines")
	g.Eventually(w.manager.files).WithTimeout(patience).Should(BeNumerically("<=", w.quiet.files+slack), "open files")
	node, err := w.edgeNode(honestName)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(node.Status.Session).NotTo(BeNil(), "the honest node is not connected")
	g.Expect(node.Status.Session.ID).To(Equal(w.session), "the honest node had to connect again")
}

// writesOf counts the requests of the manager that change something in the API server.
func writesOf(metrics series) (total int) {
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
