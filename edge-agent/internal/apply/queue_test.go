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

package apply

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

var (
	namespaceKey  = object.Key{Kind: "Namespace", Name: "shop"}
	configMapKey  = object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "settings"}
	secretKey     = object.Key{Kind: "Secret", Namespace: "shop", Name: "token"}
	deploymentKey = object.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
)

func TestStageOf(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	inOrder := []struct {
		key   object.Key
		state store.State
	}{
		{namespaceKey, store.Pending},
		{configMapKey, store.Failed},
		{deploymentKey, store.Applied},
		{deploymentKey, store.Removing},
		{configMapKey, store.RemoveFailed},
		{namespaceKey, store.Removing},
	}
	last := stage(-1)
	for _, step := range inOrder {
		s := stageOf(step.key, step.state)
		g.Expect(s).To(BeNumerically(">", last), "%v %v", step.key, step.state)
		last = s
	}
	g.Expect(stageRetry).To(BeNumerically(">", last))
}

// queueStep is a call of the queue, and what it is to answer.
type queueStep func(g *WithT, q *queue)

func add(key object.Key, s stage) queueStep { return func(_ *WithT, q *queue) { q.add(key, s) } }
func done(key object.Key) queueStep         { return func(_ *WithT, q *queue) { q.done(key) } }

func expectNext(key object.Key, s stage) queueStep {
	return func(g *WithT, q *queue) {
		g.THelper()
		gotKey, gotStage, ok := q.next()
		g.Expect(ok).To(BeTrue(), "there is no next")
		g.Expect(gotKey).To(Equal(key))
		g.Expect(gotStage).To(Equal(s))
	}
}

func expectNone(g *WithT, q *queue) {
	g.THelper()
	key, _, ok := q.next()
	g.Expect(ok).To(BeFalse(), "%v was handed out", key)
}

func TestQueue(t *testing.T) {
	t.Parallel()
	first, referred, workload := stage(object.RankFoundation), stage(object.RankReferred), stage(object.RankWorkload)
	removal := stageOf(configMapKey, store.Removing)
	tests := map[string][]queueStep{
		"first come, first served within a stage": {
			add(secretKey, referred), add(configMapKey, referred),
			expectNext(secretKey, referred), expectNext(configMapKey, referred), expectNone,
		},
		"an earlier stage comes first": {
			add(deploymentKey, workload), add(configMapKey, referred), expectNext(configMapKey, referred),
		},
		"a later stage waits until the earlier one is done": {
			add(namespaceKey, first), add(deploymentKey, workload),
			expectNext(namespaceKey, first), expectNone,
			done(namespaceKey), expectNext(deploymentKey, workload),
		},
		"an earlier stage does not wait for a later one": {
			add(deploymentKey, workload), expectNext(deploymentKey, workload),
			add(namespaceKey, first), expectNext(namespaceKey, first),
		},
		"a key that waits is held once": {
			add(configMapKey, referred), add(configMapKey, referred), expectNext(configMapKey, referred),
			done(configMapKey), expectNone,
		},
		"a key is not worked on twice at a time, but again": {
			add(configMapKey, referred), expectNext(configMapKey, referred),
			add(configMapKey, referred), add(configMapKey, referred), expectNone,
			done(configMapKey), expectNext(configMapKey, referred), done(configMapKey), expectNone,
		},
		"what is to be removed now is not to be applied": {
			add(configMapKey, referred), add(configMapKey, removal), expectNext(configMapKey, removal),
			done(configMapKey), expectNone,
		},
		"what is applied while it is being removed is applied afterwards": {
			add(configMapKey, removal), expectNext(configMapKey, removal), add(configMapKey, referred), expectNone,
			done(configMapKey), expectNext(configMapKey, referred),
		},
		"checks come last and one at a time": {
			add(configMapKey, stageCheck), add(secretKey, stageCheck), add(deploymentKey, workload),
			expectNext(deploymentKey, workload), expectNone,
			done(deploymentKey), expectNext(configMapKey, stageCheck), expectNone,
			done(configMapKey), expectNext(secretKey, stageCheck),
		},
		"another attempt comes last, whatever its rank, and holds up nothing": {
			add(namespaceKey, stageRetry), add(configMapKey, stageCheck), add(deploymentKey, workload),
			expectNext(deploymentKey, workload), expectNone,
			done(deploymentKey), expectNext(namespaceKey, stageRetry), expectNext(configMapKey, stageCheck),
			add(secretKey, referred), expectNext(secretKey, referred),
		},
		"a retry is not needed for what waits": {
			add(configMapKey, referred), add(configMapKey, stageRetry), expectNext(configMapKey, referred),
			add(configMapKey, removal), add(configMapKey, stageRetry), done(configMapKey),
			expectNext(configMapKey, removal), done(configMapKey), expectNone,
		},
		"a retry that falls due while the key is worked on is not lost": {
			add(configMapKey, referred), expectNext(configMapKey, referred), add(configMapKey, stageRetry),
			done(configMapKey), expectNext(configMapKey, stageRetry),
		},
		"new work takes the place of a retry": {
			add(configMapKey, stageRetry), add(configMapKey, referred), expectNext(configMapKey, referred),
			done(configMapKey), expectNone,
		},
		"a retry takes the place of a check": {
			add(configMapKey, stageCheck), add(configMapKey, stageRetry), expectNext(configMapKey, stageRetry),
			done(configMapKey), expectNone,
		},
		"work does not wait for a check": {
			add(configMapKey, stageCheck), expectNext(configMapKey, stageCheck),
			add(secretKey, referred), expectNext(secretKey, referred),
		},
		"a check is not needed for what waits or is worked on": {
			add(configMapKey, referred), add(configMapKey, stageCheck), expectNext(configMapKey, referred),
			add(configMapKey, stageCheck), done(configMapKey), expectNone,
		},
		"work takes the place of a check": {
			add(configMapKey, stageCheck), add(configMapKey, referred), expectNext(configMapKey, referred),
			done(configMapKey), expectNone,
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue()
			for _, step := range steps {
				step(NewWithT(t), q)
			}
		})
	}
}

// After any history every key that was added is handed out, and nothing is left.
func TestQueueForgetsWhatIsDone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		g := NewWithT(t)
		random := rand.New(rand.NewPCG(seed, 0))
		q := newQueue()
		owed := make(map[object.Key]bool)
		running := make(map[object.Key]bool)
		take := func() bool {
			key, _, ok := q.next()
			if ok {
				g.Expect(running[key]).To(BeFalse(), "seed %d: %v runs twice", seed, key)
				running[key] = true
				delete(owed, key)
			}
			return ok
		}
		finish := func() {
			for key := range running {
				q.done(key)
				delete(running, key)
				return
			}
		}
		for range 500 {
			switch random.IntN(3) {
			case 0:
				key := object.Key{Kind: "ConfigMap", Name: fmt.Sprint(random.IntN(20))}
				s := stage(random.IntN(int(stages)))
				q.add(key, s)
				owed[key] = owed[key] || s != stageCheck
			case 1:
				take()
			case 2:
				finish()
			}
		}
		for len(q.items) > 0 {
			if !take() {
				g.Expect(running).NotTo(BeEmpty(), "seed %d: work waits for nothing", seed)
				finish()
			}
		}
		for key, is := range owed {
			g.Expect(is).To(BeFalse(), "seed %d: %v was never handed out", seed, key)
		}
	}
}

func TestDelayDoublesUpToItsEnd(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for attempts, most := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 7: 64, 8: 100, 1000: 100} {
		for range 100 {
			d := delay(time.Second, 100*time.Second, attempts)
			g.Expect(d).To(BeNumerically("<=", most*time.Second), "attempt %d", attempts)
			g.Expect(d).To(BeNumerically(">=", most*time.Second/2), "attempt %d", attempts)
		}
	}
}
