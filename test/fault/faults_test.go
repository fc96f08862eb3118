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
	"sync"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

// occurrence is one fault that has been drawn.
type occurrence struct {
	what string
	// turn is held meanwhile: what it concerns suffers one fault at a time.
	turn *sync.Mutex
	// run disturbs, holds that for a while, and sets right what does not heal by itself.
	run func(ctx context.Context)
}

// fault is a kind of fault. draw makes all random choices, so that a seed repeats them.
type fault struct {
	kind   string
	weight int
	draw   func(w *world, r *rand.Rand) occurrence
}

// disturb has a number of faults happen, several at a time, and returns when they are over.
func (w *world) disturb(ctx context.Context, r *rand.Rand, count int) {
	faults := w.faults()
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	places := make(chan struct{}, concurrentFaults)
	var running sync.WaitGroup
	for range count {
		f := pick(faults, r.IntN(total))
		o := f.draw(w, r)
		pause := time.Duration(r.Int64N(int64(longestPause)))
		places <- struct{}{}
		o.turn.Lock()
		running.Go(func() {
			w.history.count(f.kind)
			w.history.note("%s: %s", f.kind, o.what)
			o.run(ctx)
			w.history.note("%s: %s: over", f.kind, o.what)
			o.turn.Unlock()
			<-places
		})
		hold(ctx, pause)
	}
	running.Wait()
}

func pick(faults []fault, at int) fault {
	for _, f := range faults {
		if at -= f.weight; at < 0 {
			return f
		}
	}
	panic("the weights do not add up")
}

// hold keeps a fault up for d.
func hold(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// between draws a duration.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return (from + time.Duration(r.Int64N(int64(to-from)))).Round(time.Millisecond)
}

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// faults are all kinds that can happen here.
func (w *world) faults() []fault {
	all := []fault{
		{"the link is slow", 6, onLink(delayed)},
		{"the link is thin", 6, onLink(throttled)},
		{"the link is cut", 6, onLink(cut)},
		{"the link is cut in the middle of a frame", 8, onLink(cutMidFrame)},
		{"the link is silent", 6, onLink(silent)},
		{"the link is silent one way", 6, onLink(silentOneWay)},
		{"the hub cannot be reached", 3, onLink(refusing)},
		{"a connection is doubled", 6, onLink(doubled)},
		{"the agent is killed", 8, onAgent(killed)},
		{"the agent is stopped", 3, onAgent(stopped)},
		{"the agent is paused", 6, onAgent(paused)},
		{"the agent's last write is torn", 6, torn},
		{"a manager is killed", 5, onManager(killed)},
		{"a manager is stopped", 3, onManager(stopped)},
		{"a manager is paused", 4, onManager(pausedLong)},
		{"a manager is fed late", 6, onFeed(late)},
		{"a manager is not fed", 4, onFeed(silent)},
		{"a manager's feed is cut", 3, onFeed(cut)},
		{"the API server is killed", 2, (*world).apiServerKilled},
		{"etcd is killed", 2, (*world).etcdKilled},
	}
	if w.smallDisks() != nil {
		all = append(all, fault{"the agent's disk is full", 6, diskFull})
	}
	if *withClocks {
		all = append(all,
			fault{"the agent's clock jumps", 4, onAgent(clockJumps(90 * 24 * time.Hour))},
			fault{"a manager's clock jumps", 3, onManager(clockJumps(4 * time.Minute))})
	}
	return all
}

// trouble is a fault of a link or a program, with what of it is random drawn.
type trouble func(w *world, m *member, r *rand.Rand) (what string, run func(ctx context.Context))

func onLink(t trouble) func(*world, *rand.Rand) occurrence {
	return func(w *world, r *rand.Rand) occurrence { return w.linkFault(&one(r, w.nodes).member, r, t) }
}

func onFeed(t trouble) func(*world, *rand.Rand) occurrence {
	return func(w *world, r *rand.Rand) occurrence { return w.linkFault(&one(r, w.replicas).member, r, t) }
}

func (w *world) linkFault(m *member, r *rand.Rand, t trouble) occurrence {
	what, run := t(w, m, r)
	return occurrence{what: m.name + " " + what, turn: &m.linked, run: run}
}

func onAgent(t trouble) func(*world, *rand.Rand) occurrence {
	return func(w *world, r *rand.Rand) occurrence { return w.programFault(&one(r, w.nodes).member, r, t) }
}

func onManager(t trouble) func(*world, *rand.Rand) occurrence {
	return func(w *world, r *rand.Rand) occurrence { return w.programFault(&one(r, w.replicas).member, r, t) }
}

func (w *world) programFault(m *member, r *rand.Rand, t trouble) occurrence {
	what, run := t(w, m, r)
	return occurrence{what: m.name + " " + what, turn: &m.running, run: run}
}

// heal ends every fault and starts what does not run.
func (w *world) heal() {
	ctx := w.t.Context()
	w.history.note("all is to be well again")
	w.Expect(w.fleet.ControlPlane().Start(ctx)).To(Succeed())
	for _, m := range w.members() {
		for _, direction := range []linkproxy.Direction{linkproxy.Up, linkproxy.Down} {
			m.link.CutAfter(direction, 0)
		}
		m.running.Lock()
		if m.PID() == 0 {
			w.startAgain(ctx, m)
		}
		m.running.Unlock()
	}
	w.settle()
}
