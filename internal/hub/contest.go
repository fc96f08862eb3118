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
	"net/http"
	"slices"
	"time"
)

const (
	// takeoversPerMinute are let pass. Beyond, nobody takes the session over for as long
	// as truce, so that a fight costs the hub little.
	takeoversPerMinute = 5
	truce              = time.Minute
	// contestMemory is how long after the last takeover a node is called contested.
	contestMemory = 10 * time.Minute
)

// machine tells apart what connects as one node: the boot of a machine, and the store on
// it. Both stay the same when a link flaps or an agent starts again. Neither is proven:
// they serve honest machines that do not know of each other, and whoever lies about them
// only looks like ever more machines.
type machine struct{ bootID, storeEpoch string }

// claimant is a machine that has had the session of a node, and where it is.
type claimant struct {
	machine
	address string
}

// contest is what is known of machines that take the session of one node from each
// other, by the takeovers of late. The zero value knows of none.
type contest struct {
	last   time.Time
	recent []time.Time
	// ousted is the machine that the last takeover was at the expense of.
	ousted machine
	// claimants are the addresses of the last two; nil until it is certain that they fight.
	claimants  []string
	truceUntil time.Time
}

// takeover notes that the session of a machine has given way to one of another machine.
// It is true when it becomes certain that they fight: one that had lost the session is
// back, as the earlier boot of a machine never is, or there are more takeovers than any
// machine can boot.
func (c *contest) takeover(now time.Time, from, to claimant) (begun bool) {
	if c.over(now) {
		*c = contest{}
	}
	back := !c.last.IsZero() && to.machine == c.ousted
	c.last, c.ousted = now, from.machine
	c.recent = append(slices.DeleteFunc(c.recent, func(at time.Time) bool { return now.Sub(at) >= time.Minute }), now)
	tooMany := len(c.recent) > takeoversPerMinute
	if tooMany {
		c.recent, c.truceUntil = nil, now.Add(truce)
	}
	begun = c.claimants == nil && (back || tooMany)
	if begun || c.claimants != nil {
		c.claimants = []string{from.address, to.address}
	}
	return begun
}

// over: there has been no takeover for so long that the contest can be forgotten.
func (c *contest) over(now time.Time) bool { return now.Sub(c.last) >= contestMemory }

// refusal is that of a connection of the contested node, whatever machine it is from;
// nil if there is no truce.
func (c *contest) refusal(now time.Time) *Refusal {
	if c == nil || !now.Before(c.truceUntil) {
		return nil
	}
	return &Refusal{
		Status: http.StatusTooManyRequests,
		Message: "several machines use the identity of this node, and take its session from each other: " +
			"join all but one of them again, under names of their own",
		RetryAfter: c.truceUntil.Sub(now),
		cause:      causeDuplicate,
	}
}

// claimant is the machine of a session.
func (s *session) claimant() claimant { return claimant{machine: s.machine, address: s.address} }

// noteTakeover notes that s has taken the place of old.
func (h *Hub) noteTakeover(old, s *session) {
	if old.ended() || old.machine == s.machine || !h.recordTakeover(old, s) {
		return
	}
	h.options.Log.Info("Several machines use the identity of one node: join all but one of them again, under names of their own",
		"node", s.name, "address", s.address, "otherAddress", old.address)
	h.options.Observer.OnNodeEvent(s.name)
}

func (h *Hub) recordTakeover(old, s *session) (begun bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.contests[s.name]
	if c == nil {
		c = &contest{}
		h.contests[s.name] = c
	}
	time.AfterFunc(contestMemory, func() { h.reviewContest(s.name) })
	return c.takeover(time.Now(), old.claimant(), s.claimant())
}

// reviewContest forgets a contest that is over.
func (h *Hub) reviewContest(name string) {
	if h.forgetContest(name) {
		h.options.Observer.OnNodeEvent(name)
	}
}

func (h *Hub) forgetContest(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.contests[name]
	if c == nil || !c.over(time.Now()) {
		return false
	}
	delete(h.contests, name)
	return true
}

// contenders are where the machines are that fight for a node; nil if none do.
func (h *Hub) contenders(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.contests[name]; c != nil {
		return slices.Clone(c.claimants)
	}
	return nil
}
