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

package agent

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
)

// renewing is a renewer with the clock of its hub.
type renewing struct {
	*renewer
	t        *testing.T
	stateDir string
	moved    int
}

func newRenewing(t *testing.T, h *hub) *renewing {
	t.Helper()
	r := &renewing{t: t, stateDir: h.node()}
	keeper, err := identity.Open(r.stateDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.renewer = &renewer{
		keeper: keeper, hubs: func() []string { return keeper.Current().Hubs() },
		renewed: func(*identity.Identity) { r.moved++ }, log: logr.Discard(), now: h.clock.Now,
		schedule: schedule{random: rand.Float64},
	}
	return r
}

// runUntil runs it, with waits that take longer than asked for, until it is done.
func (r *renewing) runUntil(c *clock, step time.Duration, done func() bool) {
	r.t.Helper()
	left := 20_000
	r.wait = func(_ context.Context, d time.Duration) bool {
		NewWithT(r.t).Expect(d).To(And(BeNumerically(">=", 0), BeNumerically("<=", checkInterval)))
		c.Add(max(d, step))
		left--
		return !done() && left > 0
	}
	if err := r.run(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	if left == 0 {
		r.t.Fatalf("not done at %s: %+v", c.Now(), r.Status())
	}
}

func TestRenewsAgainAndAgain(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	h := newHub(t, c)
	r := newRenewing(t, h)
	before := c.Now()
	const (
		times = 3
		step  = 6 * time.Hour // the clock jumps with every look at it
	)

	r.runUntil(c, step, func() bool { return len(h.renewals()) == times })

	for _, at := range h.renewals() {
		g.Expect(at.Sub(before)).To(And(BeNumerically(">=", lifetime/3*2-time.Hour), BeNumerically("<=", lifetime/3*2+lifetime/10+step)))
		before = at
	}
	g.Expect(r.moved).To(Equal(times))
	g.Expect(r.keeper.Load()).To(HaveField("NotAfter()", BeTemporally("~", before.Add(lifetime), time.Minute)))
	g.Expect(r.Status().Error).To(BeEmpty())
	g.Expect(r.Status().Next).To(BeTemporally(">", c.Now()))
}

func TestRenewsAtOnceWhatHasExpired(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	h := newHub(t, c)
	r := newRenewing(t, h)
	g.Expect(r.expired(r.keeper.Current())).To(Succeed())
	c.Add(lifetime + 10*day)
	g.Expect(r.expired(r.keeper.Current())).To(MatchError(And(ContainSubstring("the certificate expired at"), ContainSubstring("is being renewed"))))

	wait := r.check(t.Context())

	g.Expect(wait).To(Equal(checkInterval))
	g.Expect(h.renewals()).To(HaveLen(1))
	g.Expect(r.moved).To(Equal(1))
	g.Expect(r.expired(r.keeper.Current())).To(Succeed())
}

func TestSaysWhatTheHubSaysToDo(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	h := newHub(t, c)
	r := newRenewing(t, h)
	const advice = "the certificate expired 100 days ago: make a token with --rejoin"
	h.answer(says(http.StatusForbidden, advice), says(http.StatusForbidden, advice))
	c.Add(lifetime + 100*day)

	r.check(t.Context())

	status := r.Status()
	g.Expect(status.Refused).To(BeTrue())
	g.Expect(status.Error).To(ContainSubstring(advice))
	g.Expect(status.Next.Sub(c.Now())).To(And(BeNumerically(">=", 30*time.Minute), BeNumerically("<=", time.Hour)))
	g.Expect(r.expired(r.keeper.Current())).To(MatchError(And(ContainSubstring("cannot be renewed"), ContainSubstring(advice))))
	g.Expect(r.moved).To(BeZero())

	from := c.Now()
	r.runUntil(c, 0, func() bool { return len(h.renewals()) == 1 })
	g.Expect(c.Now().Sub(from)).To(BeNumerically("<", 2*time.Hour+2*checkInterval), "what was refused is tried again")
	g.Expect(r.Status()).To(Equal(Renewal{Next: r.Status().Next}))
}

func TestNothingStopsTheRenewal(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	h := newHub(t, c)
	r := newRenewing(t, h)
	reasons := map[string]bool{}
	h.answer(
		says(http.StatusInternalServerError, "the API server is away"),
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		says(http.StatusTooManyRequests, "slow down"),
		says(http.StatusNotFound, ""),
	)
	c.Add(lifetime / 100 * 80)

	r.runUntil(c, 0, func() bool {
		reasons[r.Status().Error] = true
		return len(h.renewals()) == 1
	})

	delete(reasons, "")
	g.Expect(reasons).To(HaveLen(5), "each failure has been shown")
	g.Expect(r.moved).To(Equal(1))
}

func TestADamagedIdentityIsShownAndGotOver(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	h := newHub(t, c)
	r := newRenewing(t, h)
	r.check(t.Context())
	path := filepath.Join(r.stateDir, identity.FileName)
	good, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(path, []byte("x"), 0o600)).To(Succeed())

	g.Expect(r.check(t.Context())).To(Equal(checkInterval))
	g.Expect(r.Status().Error).To(ContainSubstring(path))

	g.Expect(os.WriteFile(path, good, 0o600)).To(Succeed())
	g.Expect(r.check(t.Context())).To(Equal(checkInterval))
	g.Expect(r.Status().Error).To(BeEmpty())
}

func TestAJoinDuringARenewalWins(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	h := newHub(t, c)
	r := newRenewing(t, h)
	elsewhere := h.node()
	h.joinAgain(elsewhere, "edge-2")
	c.Add(lifetime / 100 * 80)
	h.answer(func(w http.ResponseWriter, request *http.Request) {
		if err := os.Rename(filepath.Join(elsewhere, identity.FileName), filepath.Join(r.stateDir, identity.FileName)); err != nil {
			t.Error(err)
		}
		h.mu.Unlock()
		defer h.mu.Lock()
		h.renew(w, request)
	})

	g.Expect(r.check(t.Context())).To(BeZero(), "look again at once")
	g.Expect(r.check(t.Context())).To(Equal(checkInterval))

	g.Expect(r.keeper.Current().Node()).To(Equal("edge-2"))
	g.Expect(r.moved).To(BeZero())
	g.Expect(r.Status()).To(Equal(Renewal{Next: r.Status().Next}))
	g.Expect(r.Status().Next).To(BeTemporally(">", c.Now()))
}

func TestTheRenewalStops(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	r := newRenewing(t, newHub(t, newClock()))
	r.wait = wait
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.run(ctx) }()
	g.Eventually(r.Status, 20*time.Second).Should(HaveField("Next", Not(BeZero())))
	cancel()
	g.Expect(<-ended).To(Succeed())
}
