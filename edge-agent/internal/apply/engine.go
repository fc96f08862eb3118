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
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

// Options of an Engine. Zero values stand for the defaults.
type Options struct {
	// Workers is how many records are worked on at one time; 16 by default. A
	// directory waits for the disk with each, and disks do more when asked for many
	// things at once: 16 take a quarter of the time of one, and more gain little and
	// hold up the commits of what still comes.
	Workers int
	// CheckInterval is how often everything applied is checked and repaired; a
	// minute by default.
	CheckInterval time.Duration
	// FirstRetry is how long after a failure the next attempt is made, half a second
	// by default; MaxRetry is where doubling it ends, two minutes by default. What is not
	// healthy yet is looked at likewise, and at least every CheckInterval.
	FirstRetry, MaxRetry time.Duration
	// Timeout bounds one call of a target; 10 seconds by default. Where a target does not
	// answer, work of later ranks waits for the first attempts of the earlier ones.
	Timeout time.Duration
	// OnResults, if set, is told what the store has just recorded. It is called from
	// one goroutine, in order, and must not wait: nothing is recorded meanwhile.
	OnResults func([]Result)
	// OnCall, if set, is told of every call of a target: whether it has changed something,
	// what came of it and how long it took. It may be called concurrently.
	OnCall func(target string, changed bool, err error, took time.Duration)
	Logger logr.Logger
}

func (o *Options) setDefaults() {
	for option, value := range map[*time.Duration]time.Duration{
		&o.CheckInterval: time.Minute,
		&o.FirstRetry:    500 * time.Millisecond,
		&o.MaxRetry:      2 * time.Minute,
		&o.Timeout:       10 * time.Second,
	} {
		if *option == 0 {
			*option = value
		}
	}
	if o.Workers == 0 {
		o.Workers = 16
	}
	if o.OnResults == nil {
		o.OnResults = func([]Result) {}
	}
	if o.OnCall == nil {
		o.OnCall = func(string, bool, error, time.Duration) {}
	}
}

// Result is how far the targets are with what was held under a key.
type Result struct {
	Key object.Key
	// UID and Digest say which object of that key it is about.
	UID    string
	Digest object.Digest
	// State is any state of the store, Removed included.
	State   store.State
	Message string
}

// Engine keeps the targets as the store says. It applies in the order of ranks and
// removes in the opposite order, many records of one rank at a time and one key never
// twice at a time. What has failed waits for nobody, and keeps nobody waiting.
type Engine struct {
	store   *store.Store
	routes  []Route
	options Options
	repairs atomic.Uint64
	results chan finished
	// unrecorded says that the last results could not be recorded. It is the recorder's.
	unrecorded bool
	// large is held while a large object is applied: see largeBytes.
	large chan struct{}

	mu      sync.Mutex
	ready   sync.Cond // something has been queued, or Run is to end
	queue   *queue
	retries map[object.Key]*retry
}

// NewEngine makes an engine that does nothing before Run.
func NewEngine(s *store.Store, routes []Route, options Options) *Engine {
	options.setDefaults()
	e := &Engine{
		store:   s,
		routes:  routes,
		options: options,
		results: make(chan finished, maxBatch),
		large:   make(chan struct{}, 1),
		queue:   newQueue(),
		retries: make(map[object.Key]*retry),
	}
	e.ready.L = &e.mu
	return e
}

// Run works until ctx ends, first on what the store holds unfinished. Its only error
// is that of a store that cannot be read. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.queueUnfinished(); err != nil {
		return fmt.Errorf("find out what is to be applied: %w", err)
	}
	workers, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, e.wakeAll)()

	var recorder sync.WaitGroup
	recorder.Go(e.record)
	for range e.options.Workers {
		workers.Go(func() error { return e.work(ctx) })
	}
	workers.Go(func() error { return e.checkPeriodically(ctx) })

	err := workers.Wait()
	close(e.results)
	recorder.Wait()
	e.stopRetries()
	return err
}

// Enqueue has the keys worked on, after a Commit has said that there is work for
// them. What waits for another attempt of one of them is made at once. It never
// waits for a target, and may be called at any time, concurrently.
func (e *Engine) Enqueue(keys ...object.Key) {
	for _, key := range keys {
		entry, exists, err := e.store.Peek(key)
		if err != nil {
			e.options.Logger.Error(err, "Cannot look up what is to be applied", "object", key.String())
		}
		if !exists {
			continue
		}
		e.mu.Lock()
		e.forgetRetry(key)
		e.add(key, stageOf(key, entry.State))
		e.mu.Unlock()
	}
}

// Repairs is how often a target was found to differ from the store and was put right.
func (e *Engine) Repairs() uint64 { return e.repairs.Load() }

func (e *Engine) queueUnfinished() error {
	return e.queueEach(func(state store.State) bool { return state != store.Applied }, stageOf)
}

func (e *Engine) queueChecks() error {
	return e.queueEach(isApplied,
		func(object.Key, store.State) stage { return stageCheck })
}

func (e *Engine) queueEach(wanted func(store.State) bool, stageOf func(object.Key, store.State) stage) error {
	return e.store.ForEach(func(entry store.Entry) error {
		if wanted(entry.State) {
			e.mu.Lock()
			e.add(entry.Key, stageOf(entry.Key, entry.State))
			e.mu.Unlock()
		}
		return nil
	})
}

// add queues a key and wakes a worker. The caller holds e.mu.
func (e *Engine) add(key object.Key, s stage) {
	e.queue.add(key, s)
	e.ready.Signal()
}

func (e *Engine) wakeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ready.Broadcast()
}

func (e *Engine) stopRetries() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key := range e.retries {
		e.forgetRetry(key)
	}
}

// checkPeriodically has everything applied checked, at once and then at intervals.
func (e *Engine) checkPeriodically(ctx context.Context) error {
	ticker := time.NewTicker(e.options.CheckInterval)
	defer ticker.Stop()
	for {
		if err := e.queueChecks(); err != nil {
			return fmt.Errorf("find out what is applied: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
