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
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
)

func always(random float64) func() float64 { return func() float64 { return random } }

func TestRenewAt(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, lifetime := range []time.Duration{time.Minute, time.Hour, 90 * day, 10 * 365 * day} {
		expires := issued.Add(lifetime)
		g.Expect(renewAt(issued, expires, 0)).To(BeTemporally("~", issued.Add(lifetime/3*2), time.Microsecond))
		g.Expect(renewAt(issued, expires, 1)).To(BeTemporally("~", issued.Add(lifetime/3*2+lifetime/10), time.Microsecond))
	}
	g.Expect(renewAt(issued, issued.Add(-time.Hour), 0.5)).To(BeTemporally("<", issued), "nonsense is due at once")
}

// joinedAt is the identity of a node whose certificate is valid for lifetime from now.
func joinedAt(t *testing.T, c *clock) *identity.Identity {
	t.Helper()
	loaded, err := identity.Load(newHub(t, c).node())
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestScheduleObserves(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	first, second := joinedAt(t, c), joinedAt(t, c)
	now := c.Now()
	due := now.Add(lifetime / 3 * 2)
	s := schedule{random: always(0)}

	s.observe(first, now)
	g.Expect(s.due).To(BeTemporally("~", due, time.Hour))
	s.failed(errors.New("x"), now)
	retry := s.due
	s.observe(first, now.Add(time.Hour))
	g.Expect(s.due).To(Equal(retry), "it is the same certificate")
	g.Expect(s.status()).To(Equal(Renewal{Next: retry, Error: "x"}))

	s.observe(second, now.Add(day))
	g.Expect(s.due).To(BeTemporally("~", due.Add(day/3), time.Hour), "one that is new counts from when it came")
	g.Expect(s.status()).To(Equal(Renewal{Next: s.due}))

	s = schedule{random: always(0)}
	s.observe(first, now.Add(100*day))
	g.Expect(s.due).To(Equal(now.Add(100*day)), "overdue: at once")
	s.observe(second, now.Add(100*day))
	g.Expect(s.due).To(Equal(now.Add(100*day+minRetry)), "a hub that issues what has expired is not asked in a loop")
}

// The clock of certificates is on the wall: it may be set, unlike the one of a process.
func TestScheduleIgnoresTheMonotonicClock(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	s := schedule{random: always(0)}
	for _, certificate := range []*identity.Identity{joinedAt(t, c), joinedAt(t, c)} {
		s.observe(certificate, time.Now())
		g.Expect(s.due).To(Equal(s.due.Round(0)))
	}
}

func TestScheduleWhenCutOff(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClock()
	s := schedule{random: always(1), certificate: joinedAt(t, c), failures: 50}
	for err, delays := range map[error][2]time.Duration{
		errors.New("no answer"):         {time.Hour, maxExpiredRetry},
		&identity.HubError{Status: 500}: {time.Hour, time.Hour},
		&identity.HubError{Status: 403}: {time.Hour, time.Hour},
	} {
		for i, now := range []time.Time{c.Now(), c.Now().Add(lifetime + day)} {
			s.failed(err, now)
			g.Expect(s.due.Sub(now)).To(Equal(delays[i]), "%v", err)
		}
	}
}

func TestScheduleAfterFailures(t *testing.T) {
	t.Parallel()
	c := newClock()
	certificate := joinedAt(t, c)
	now := c.Now()
	other := errors.New("no answer")
	busy := &identity.HubError{Status: 503, RetryAfter: 2 * time.Minute}
	for name, test := range map[string]struct {
		err      error
		before   int // failures before this one
		min, max time.Duration
	}{
		"the first":               {other, 0, minRetry, firstRetry},
		"the second":              {other, 1, minRetry, 2 * firstRetry},
		"the third":               {other, 2, minRetry, 4 * firstRetry},
		"many":                    {other, 50, minRetry, time.Hour},
		"very many":               {other, 1 << 40, minRetry, time.Hour},
		"busy":                    {busy, 0, 2 * time.Minute, 3 * time.Minute},
		"busy for long":           {busy, 50, 2 * time.Minute, time.Hour + 2*time.Minute},
		"busy, without a time":    {&identity.HubError{Status: 503}, 0, minRetry, firstRetry},
		"told to wait for a week": {&identity.HubError{Status: 429, RetryAfter: 7 * day}, 0, time.Hour, 90 * time.Minute},
		"refused":                 {&identity.HubError{Status: 403}, 0, 30 * time.Minute, time.Hour},
		"refused again":           {&identity.HubError{Status: 403, RetryAfter: time.Second}, 50, 30 * time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			for random, want := range map[float64]time.Duration{0: test.min, 1: test.max} {
				s := schedule{random: always(random), certificate: certificate, failures: test.before}
				s.failed(test.err, now)
				g.Expect(s.due.Sub(now)).To(Equal(want), "with %v", random)
				g.Expect(s.status().Refused).To(Equal(name == "refused" || name == "refused again"))
			}
		})
	}
}
