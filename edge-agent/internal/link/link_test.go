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
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

func hubA() []string { return []string{atA} }

// attempts scripts how sessions end, and remembers when and where they were tried.
type attempts struct {
	endings []ending
	hubs    []string
	times   []time.Time
	done    context.CancelFunc
}

func (a *attempts) next(_ context.Context, hub string) ending {
	a.hubs = append(a.hubs, hub)
	a.times = append(a.times, time.Now())
	if len(a.endings) == 0 {
		a.done()
		return ending{cause: stopped, err: errStopped}
	}
	end := a.endings[0]
	a.endings = a.endings[1:]
	return end
}

func (a *attempts) delays() []time.Duration {
	var delays []time.Duration
	for i := range len(a.times) - 1 {
		delays = append(delays, a.times[i+1].Sub(a.times[i]))
	}
	return delays
}

// runScript runs a Link, whose random numbers are all 1, over a script; it returns what was logged.
func runScript(t *testing.T, script *attempts) (logged []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	script.done = cancel
	l := New(Config{Hubs: hubA, Log: funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{})})
	l.route.random = always(1)
	l.attempt = script.next
	NewWithT(t).Expect(l.Run(ctx)).To(Succeed())
	return logged
}

func TestRunBacksOffAndFollowsRedirectsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		gone := errors.New("gone")
		script := &attempts{endings: []ending{
			{err: gone}, {err: gone}, {err: gone},
			{err: gone, lasted: time.Hour},
			{err: gone, cause: drained, redirect: "https://b:2"},
			{err: gone},
		}}
		runScript(t, script)
		g.Expect(script.delays()).To(Equal([]time.Duration{
			500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond, maxDrainSpread, 500 * time.Millisecond,
		}))
		g.Expect(script.hubs).To(Equal([]string{
			"https://a:1", "https://a:1", "https://a:1", "https://a:1", "https://a:1", "https://b:2", "https://a:1",
		}))
	})
}

func TestRunLogsEachReasonOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		one, other := ending{err: errors.New("one")}, ending{cause: refused, err: errors.New("other")}
		logged := runScript(t, &attempts{endings: []ending{one, one, one, other, other, one}})
		g.Expect(logged).To(HaveExactElements(
			ContainSubstring(`"one"`), ContainSubstring(`"other"`), ContainSubstring(`"one"`)))
	})
}

func TestRunStopsWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		ctx, cancel := context.WithCancel(t.Context())
		l := New(Config{Hubs: hubA})
		l.attempt = func(context.Context, string) ending { return ending{cause: superseded, err: errors.New("other")} }
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		synctest.Wait()
		start := time.Now()
		cancel()
		g.Expect(<-ended).To(Succeed())
		g.Expect(time.Since(start)).To(BeZero())
	})
}

func TestRunEndsWithADamagedStore(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	l := New(Config{Hubs: hubA})
	l.attempt = func(context.Context, string) ending { return endingOf(store.ErrCorrupt, 0) }
	g.Expect(l.Run(t.Context())).To(MatchError(store.ErrCorrupt))
}

func TestHeartbeatIsBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(heartbeat(0)).To(Equal(defaultHeartbeat))
	g.Expect(heartbeat(1)).To(Equal(time.Second))
	g.Expect(heartbeat(1 << 31)).To(Equal(maxHeartbeat))
}
