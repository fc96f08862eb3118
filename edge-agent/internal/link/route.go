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
	"slices"
	"time"
)

// route decides where the next attempt goes, and how long to wait before it. Attempts go
// round the addresses, from the preferred one on, with little delay in between; only when
// all have failed does the delay grow. An address that worked is stayed with.
type route struct {
	backoff
	// tried are the addresses that have failed in this round.
	tried []string
	// asked is the longest delay that one of them has asked for.
	asked time.Duration
}

// next takes in how the attempt at hub ended. There is always one of hubs.
func (r *route) next(hub string, end ending, hubs []string) (next string, delay time.Duration) {
	if end.lasted >= settled {
		r.failures = 0
	}
	switch {
	case end.cause == reconnecting:
		return r.begin(stay(hub, hubs)), 0
	case end.cause == superseded:
		return r.begin(stay(hub, hubs)), supersededDelay + r.upTo(supersededDelay)
	case end.redirect != "":
		return r.begin(end.redirect), r.drainDelay(end.spread)
	case end.cause == drained:
		return r.begin(hubs[0]), r.drainDelay(end.spread)
	case end.lasted >= settled:
		return r.begin(stay(hub, hubs)), r.backoff.next(0)
	}
	return r.goOn(hub, end, hubs)
}

// goOn tries the next address of the round, or ends the round.
func (r *route) goOn(hub string, end ending, hubs []string) (next string, delay time.Duration) {
	r.tried = append(r.tried, hub)
	r.asked = max(r.asked, min(end.retryAfter, maxRetryAfter))
	untried := slices.IndexFunc(hubs, func(other string) bool { return !slices.Contains(r.tried, other) })
	if untried >= 0 && len(r.tried) <= len(hubs) {
		return hubs[untried], r.upTo(firstDelay)
	}
	delay = r.backoff.next(r.asked)
	return r.begin(hubs[0]), delay
}

// begin starts a new round, with hub.
func (r *route) begin(hub string) string {
	r.tried, r.asked = nil, 0
	return hub
}

// drainDelay spreads the agents of a hub evenly over the time that it has asked for, and
// over ever more if hubs do nothing but drain.
func (r *route) drainDelay(spread time.Duration) time.Duration {
	if spread == 0 {
		spread = maxDrainSpread
	}
	spread = min(max(spread, minDrainSpread), maxDrainSpread)
	return max(r.upTo(spread), r.backoff.next(0))
}

// stay is hub as long as it is one of hubs.
func stay(hub string, hubs []string) string {
	if slices.Contains(hubs, hub) {
		return hub
	}
	return hubs[0]
}
