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

import "time"

const (
	// firstDelay bounds the first delays after a session was lost, and steady is how many of them
	// there are before it doubles, and each time that it has: a hub that restarts refuses
	// connections for some seconds, and is to have its nodes back soon after.
	firstDelay = 500 * time.Millisecond
	steady     = 6
	// DefaultMaxDelay is where the doubling ends unless configured otherwise.
	DefaultMaxDelay = 60 * time.Second
	// settled is how long a session must have lasted to count as a success: a hub
	// that welcomes and fails at once is not dialled ever faster.
	settled = 10 * time.Second
	// supersededDelay keeps two agents with one identity from taking the session
	// from each other all the time.
	supersededDelay = 30 * time.Second
	// minDrainSpread and maxDrainSpread bound over how long the agents of a hub that
	// drains come back. What it has time for may be much longer, but it also lets its nodes
	// go one after the other.
	minDrainSpread = time.Second
	maxDrainSpread = 5 * time.Second
	// maxRetryAfter bounds what a hub may ask for.
	maxRetryAfter = 10 * time.Minute
)

// backoff decides how long to wait: exponential with full jitter, so that the agents of
// a hub that died do not come back together. It has no clock; random returns numbers in
// [0,1).
type backoff struct {
	max      time.Duration
	random   func() float64
	failures int
}

// next is the delay after one more failure, and no less than the hub has asked for.
func (b *backoff) next(asked time.Duration) time.Duration {
	ceiling := b.ceiling()
	b.failures++
	if asked > 0 {
		return asked + b.upTo(max(ceiling, asked/2))
	}
	return b.upTo(ceiling)
}

func (b *backoff) ceiling() time.Duration {
	ceiling := firstDelay
	for range b.failures / steady {
		if ceiling >= b.max {
			break
		}
		ceiling *= 2
	}
	return min(ceiling, b.max)
}

func (b *backoff) upTo(limit time.Duration) time.Duration {
	return time.Duration(b.random() * float64(limit))
}
