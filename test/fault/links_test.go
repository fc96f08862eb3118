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

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

func delayed(_ *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	delay, d := between(r, 20*time.Millisecond, 800*time.Millisecond), between(r, time.Second, 5*time.Second)
	return fmt.Sprintf("%s each way for %s", delay, d), func(ctx context.Context) {
		m.link.SetDelay(delay)
		hold(ctx, d)
		m.link.SetDelay(0)
	}
}

// late has watch events arrive seconds after they happened.
func late(_ *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	delay, d := between(r, 300*time.Millisecond, 4*time.Second), between(r, 3*time.Second, 10*time.Second)
	return fmt.Sprintf("%s late for %s", delay, d), func(ctx context.Context) {
		m.link.SetDelay(delay)
		hold(ctx, d)
		m.link.SetDelay(0)
	}
}

func throttled(_ *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	rate, d := 2000+r.IntN(50_000), between(r, time.Second, 6*time.Second)
	return fmt.Sprintf("%d bytes/s for %s", rate, d), func(ctx context.Context) {
		m.link.SetRate(rate)
		hold(ctx, d)
		m.link.SetRate(0)
	}
}

func cut(_ *world, m *member, _ *rand.Rand) (string, func(context.Context)) {
	return "", func(context.Context) { m.link.Cut() }
}

func cutMidFrame(_ *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	direction, n := linkproxy.Down, 1+r.Int64N(30_000)
	if r.IntN(3) == 0 {
		direction, n = linkproxy.Up, 1+r.Int64N(1000)
	}
	return fmt.Sprintf("after %d bytes %s", n, direction), func(context.Context) { m.link.CutAfter(direction, n) }
}

func silent(_ *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	d := between(r, 500*time.Millisecond, 9*time.Second)
	return "for " + d.String(), func(ctx context.Context) {
		m.link.SetBlackHole(true)
		hold(ctx, d)
		m.link.SetBlackHole(false)
	}
}

func silentOneWay(_ *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	direction, d := one(r, []linkproxy.Direction{linkproxy.Up, linkproxy.Down}), between(r, 500*time.Millisecond, 9*time.Second)
	return fmt.Sprintf("%s for %s", direction, d), func(ctx context.Context) {
		m.link.SetOneWayBlackHole(direction, true)
		hold(ctx, d)
		m.link.SetOneWayBlackHole(direction, false)
	}
}

func refusing(_ *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	d := between(r, 500*time.Millisecond, 4*time.Second)
	return "for " + d.String(), func(ctx context.Context) {
		m.link.SetRefuse(true)
		m.link.Cut()
		hold(ctx, d)
		m.link.SetRefuse(false)
	}
}

// doubled has the agent connect again while the hub still has its last connection.
func doubled(_ *world, m *member, _ *rand.Rand) (string, func(context.Context)) {
	return "", func(context.Context) { m.link.Abandon() }
}
