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

// Package simulation runs the pure core in random histories: objects change, watches
// lag, links break, managers and agents crash, and backups are restored, all decided by a
// seed. After every step the promises of docs/architecture.md are checked, and at the
// end of a history everything must come to rest in the state that was asked for.
package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
)

var nodeNames = []string{"edge-1", "edge-2"}

// world is one history under way.
type world struct {
	random   *rand.Rand
	now      time.Time
	api      *api
	epoch    int
	edits    []edit
	clusters []*cluster
	// hot are the objects that change most.
	hot []object.Key
	// revisions are those of all that rollouts were for, in full.
	revisions map[string]string
	coverages map[coverage]string
	managers  []*manager
	agents    []*agent
	limits    delivery.Config
	traits    traits
	healed    bool
	// activity counts what has happened beyond asking in vain.
	activity int
	// trace gets one line for each event, if it is not nil.
	trace func(line string)
}

// traits are what can happen in a history, beyond the usual.
type traits struct {
	restores   bool
	staleLists bool
	lostRights bool
	crashes    bool
	unordered  bool
	// few: there are no objects but the hot ones.
	few bool
	// faults is how often something breaks, of the times when it could.
	faults int
	// diligence is how often the second manager has a turn when the first has one.
	diligence int
}

// failure is what failf panics with.
type failure string

func (w *world) failf(format string, args ...any) {
	w.logf("FAILED: "+format, args...)
	panic(failure(fmt.Sprintf(format, args...)))
}

// must fails when the core says that the other side broke the protocol: it did not.
func (w *world) must(_ any, err error) {
	if err != nil {
		w.failf("refused: %v", err)
	}
}

func (w *world) logf(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf(format, args...))
	}
}

func newWorld(seed uint64, trace func(string)) *world {
	random := rand.New(rand.NewPCG(seed, 0x5eed))
	chance := func(percent int) bool { return random.IntN(100) < percent }
	style := numbers
	if chance(25) {
		style = versionStyle(1 + random.IntN(2))
	}
	w := &world{
		random:    random,
		now:       time.Unix(1_000_000_000, 0),
		api:       newAPI(style),
		epoch:     1,
		revisions: map[string]string{},
		coverages: map[coverage]string{},
		trace:     trace,
		limits: delivery.Config{
			WindowMessages: 1 + random.IntN(12),
			WindowBytes:    200 + random.IntN(3000),
			MaxObjectBytes: 700,
			RetryBase:      time.Second,
			RetryMax:       8 * time.Second,
		},
		traits: traits{
			restores: chance(30), staleLists: chance(60), lostRights: chance(30), crashes: chance(70), unordered: chance(50),
			few: chance(40), faults: 5 + random.IntN(96), diligence: 5 + random.IntN(96),
		},
		clusters: []*cluster{{}},
	}
	w.clusters[0].sources = map[desired.SourceID]desired.Source{}
	w.clusters[0].cursors = map[desired.SourceID]rollout.Cursor{}
	w.clusters[0].nodes = map[string]edgeNode{}
	for range 4 {
		w.hot = append(w.hot, pick(random, keys))
	}
	for _, name := range []string{"manager-a", "manager-b"} {
		w.managers = append(w.managers, &manager{w: w, name: name})
	}
	for _, name := range nodeNames {
		agent := newAgent(w, name)
		agent.disconnect()
		w.agents = append(w.agents, agent)
	}
	return w
}

func (w *world) cluster() *cluster { return w.clusters[len(w.clusters)-1] }

func (w *world) edit(e edit) {
	w.edits = append(w.edits, e)
	w.clusters = append(w.clusters, w.cluster().with(e))
}

// chance is true in so many percent of the cases.
func (w *world) chance(percent int) bool { return w.random.IntN(100) < percent }

// staleness is how many entries of its log, of the last most, an API server may leave
// out of a list.
func (w *world) staleness(most int) int {
	if w.healed || !w.traits.staleLists || !w.chance(40) {
		return 0
	}
	return w.random.IntN(min(most, 12) + 1)
}

func (w *world) sessionOf(a *agent) *session {
	for _, m := range w.managers {
		for _, s := range m.sessions {
			if a.link != nil && s.link == a.link {
				return s
			}
		}
	}
	return nil
}

func (w *world) check() {
	for _, a := range w.agents {
		if s := w.sessionOf(a); s != nil {
			s.checkProgress(a)
		}
	}
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func sortedSources(c *cluster) []desired.SourceID {
	return slices.SortedFunc(maps.Keys(c.sources), func(a, b desired.SourceID) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

// described is a message in words, put together only when somebody reads them.
type described struct{ delivery.Message }

func describe(message delivery.Message) described { return described{message} }

func (d described) String() string {
	switch m := d.Message.(type) {
	case delivery.Put:
		return fmt.Sprintf("put %d: %s at %s, retain %t, force %t", m.Sequence, m.Object.Key, m.Object.Version, m.Retain, m.Force)
	case delivery.Delete:
		return fmt.Sprintf("delete %d: %s of %s, release %t", m.Sequence, m.Key, m.UID, m.Release)
	default:
		return "bookmark"
	}
}
