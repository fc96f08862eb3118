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
	"math/rand/v2"
	"time"
)

func killed(w *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	d := between(r, time.Millisecond, 2*time.Second)
	return "and away for " + d.String(), func(ctx context.Context) {
		w.check(m.Kill())
		hold(ctx, d)
		w.startAgain(ctx, m)
	}
}

// stopped asks the program to end: a manager drains its nodes.
func stopped(w *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	d := between(r, time.Millisecond, 2*time.Second)
	return "and away for " + d.String(), func(ctx context.Context) {
		w.check(m.Stop())
		hold(ctx, d)
		w.startAgain(ctx, m)
	}
}

func paused(w *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	return w.pausedFor(m, between(r, 200*time.Millisecond, 8*time.Second))
}

// pausedLong is now and then longer than the lease of a leader.
func pausedLong(w *world, m *member, r *rand.Rand) (string, func(context.Context)) {
	d := between(r, 500*time.Millisecond, 8*time.Second)
	if r.IntN(4) == 0 {
		d = between(r, 16*time.Second, 20*time.Second)
	}
	return w.pausedFor(m, d)
}

func (w *world) pausedFor(m *member, d time.Duration) (string, func(context.Context)) {
	return "for " + d.String(), func(ctx context.Context) {
		w.check(m.Pause())
		hold(ctx, d)
		w.check(m.Continue())
	}
}

// check reports a fault that could not be brought about or set right.
func (w *world) check(err error) {
	if err != nil {
		w.alarm("the test itself: %v", err)
	}
}

func (w *world) apiServerKilled(r *rand.Rand) occurrence {
	d := between(r, time.Millisecond, 4*time.Second)
	return occurrence{what: "and away for " + d.String(), turn: &w.cluster, run: func(ctx context.Context) {
		w.check(w.fleet.ControlPlane().KillAPIServer())
		hold(ctx, d)
		w.check(w.fleet.ControlPlane().StartAPIServer(ctx))
	}}
}

func (w *world) etcdKilled(r *rand.Rand) occurrence {
	d := between(r, time.Millisecond, 4*time.Second)
	return occurrence{what: "and away for " + d.String(), turn: &w.cluster, run: func(ctx context.Context) {
		w.check(w.fleet.ControlPlane().KillEtcd())
		hold(ctx, d)
		w.check(w.fleet.ControlPlane().StartEtcd(ctx))
		w.check(w.fleet.ControlPlane().StartAPIServer(ctx))
	}}
}
