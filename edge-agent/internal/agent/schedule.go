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
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
)

const (
	// firstRetry bounds the first delay after a renewal has failed; every further
	// failure doubles it.
	firstRetry = 10 * time.Second
	// maxRetry is where the doubling ends, and the most that a hub may ask for, when the
	// certificate lives for long.
	maxRetry = time.Hour
	// maxExpiredRetry is where it ends when the certificate has expired and the hub does
	// not answer: the node is cut off until it is renewed.
	maxExpiredRetry = 5 * time.Minute
	minRetry        = time.Second
	// retriesPerLifetime is how many delays of the longest kind there are in a lifetime
	// at least.
	retriesPerLifetime = 30
	// changeover bounds the delay of a renewal that is due because there is another CA:
	// not all machines of a fleet renew at once, and the former CA is soon not needed.
	changeover = time.Hour
)

// schedule decides when the certificate is renewed. It has no clock.
type schedule struct {
	// random returns numbers in [0,1).
	random func() float64

	certificate *identity.Identity
	// earlierCA: it comes from a CA that does not sign any longer.
	earlierCA bool
	due       time.Time
	// err is why the last of so many attempts has failed.
	err      error
	failures int
}

// renewAt is when a certificate is renewed that was issued at issued, or somewhat
// later: when two thirds of its lifetime have passed, and up to a tenth of it more, so
// that machines that have joined together do not renew together. random is in [0,1).
func renewAt(issued, notAfter time.Time, random float64) time.Time {
	lifetime := float64(notAfter.Sub(issued))
	return issued.Add(time.Duration(lifetime*2/3 + lifetime/10*random))
}

// observe takes over which certificate there is. A new one is due in its own time,
// whatever has failed before. One from a CA that does not sign any longer is due soon.
func (s *schedule) observe(current *identity.Identity, now time.Time) {
	now = now.Round(0) // certificates go by the clock on the wall, which may be set
	before := s.earlierCA
	s.earlierCA = current.FromEarlierCA()
	if s.certificate == nil || !s.certificate.SameCertificate(current) {
		s.take(current, now)
		before = false
	}
	if s.earlierCA && !before {
		soon := now.Add(minRetry + s.upTo(min(changeover, s.longestRetry())))
		s.due = earliest(s.due, soon)
	}
}

func (s *schedule) take(current *identity.Identity, now time.Time) {
	issued, earliest := current.NotBefore(), now
	if s.certificate != nil {
		// It is dated back, for machines whose clock is behind: one with a short life would
		// look old as soon as it is issued.
		issued, earliest = latest(issued, now), now.Add(minRetry)
	}
	s.certificate, s.failures, s.err = current, 0, nil
	s.due = latest(renewAt(issued, current.NotAfter(), s.random()), earliest)
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// failed puts the renewal off: for a random time that grows, or as the hub wishes, or
// for long when somebody has to change something at the hub first. With a now that has a
// monotonic reading, nothing that the clock is set to meanwhile changes how long that is.
func (s *schedule) failed(err error, now time.Time) {
	longest := s.longestRetry()
	var answered *identity.HubError
	if !errors.As(err, &answered) {
		answered = &identity.HubError{}
		if now.After(s.certificate.NotAfter()) {
			longest = min(longest, maxExpiredRetry)
		}
	}
	ceiling := min(firstRetry<<min(s.failures, 20), longest)
	s.failures, s.err = s.failures+1, err
	delay := s.upTo(ceiling)
	switch wanted := min(answered.RetryAfter, longest); {
	case answered.Refused():
		delay = longest/2 + s.upTo(longest/2)
	case wanted > 0:
		delay = wanted + s.upTo(max(ceiling, wanted/2))
	}
	s.due = now.Add(max(delay, minRetry))
}

// longestRetry is shorter for certificates that do not live for long.
func (s *schedule) longestRetry() time.Duration {
	lifetime := s.certificate.NotAfter().Sub(s.certificate.NotBefore())
	return min(maxRetry, max(minRetry, lifetime/retriesPerLifetime))
}

// status is how the renewal stands.
func (s *schedule) status() Renewal {
	status := Renewal{Next: s.due}
	if s.err != nil {
		var answered *identity.HubError
		status.Error = s.err.Error()
		status.Refused = errors.As(s.err, &answered) && answered.Refused()
	}
	return status
}

func (s *schedule) upTo(limit time.Duration) time.Duration {
	return time.Duration(s.random() * float64(limit))
}
