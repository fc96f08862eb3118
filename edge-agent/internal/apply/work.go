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
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
)

// largeBytes is the payload from which on objects are applied one at a time: decoded
// and rendered they need many times their size, and memory is short at the edge.
const largeBytes = 256 << 10

func (e *Engine) work(ctx context.Context) error {
	for {
		key, s, ok := e.take(ctx)
		if !ok {
			return nil
		}
		err := e.process(ctx, key, s)
		e.mu.Lock()
		e.queue.done(key)
		e.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// take waits for work. It wakes another worker, since there may be more.
func (e *Engine) take(ctx context.Context) (object.Key, stage, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ctx.Err() == nil {
		if key, s, ok := e.queue.next(); ok {
			e.ready.Signal()
			return key, s, true
		}
		e.ready.Wait()
	}
	return object.Key{}, 0, false
}

// process brings the targets to what the store holds under the key right now. Its only
// error is that of the store.
func (e *Engine) process(ctx context.Context, key object.Key, s stage) error {
	entry, exists, err := e.store.Get(key)
	if err != nil {
		return fmt.Errorf("read what is to be applied: %w", err)
	}
	if !exists {
		e.stopRetrying(key)
		return nil
	}
	if s == stageCheck && !isApplied(entry.State) {
		return nil
	}
	onlyHealth := s == stageRetry && entry.State == store.Progressing
	changed, err := e.toTargets(ctx, &entry, onlyHealth)
	if ctx.Err() != nil {
		return nil // The end of the agent is no failure.
	}
	if s == stageCheck && changed {
		e.repairs.Add(1)
		e.options.Logger.Info("Repaired what was changed at the target", "object", key.String())
	}
	if s != stageCheck || err != nil || entry.State != store.Applied {
		e.finish(&entry, err)
	}
	return nil
}

// finish decides about another attempt, and passes on what is news.
func (e *Engine) finish(entry *store.Entry, err error) {
	result := resultOf(entry, err)
	again := false
	switch {
	case err == nil || errors.Is(err, ErrInvalid):
		e.stopRetrying(entry.Key)
	case result.State == store.Progressing:
		again = e.retryLater(entry.Key, min(e.options.MaxRetry, e.options.CheckInterval)) > 1
	default:
		again = e.retryLater(entry.Key, e.options.MaxRetry) > 1
	}
	if again && result.State == entry.State && result.Message == entry.Message {
		return
	}
	e.log(entry, result, again)
	e.results <- finished{result: result, revision: entry.Revision}
}

// log says so when an object gets another state, other than as it should.
func (e *Engine) log(entry *store.Entry, result Result, again bool) {
	log := e.options.Logger.WithValues("object", entry.Key.String(), "state", result.State.String())
	switch {
	case again && result.State == entry.State:
		log.V(1).Info("Not applied, for another reason", "reason", result.Message)
	case result.State == store.Progressing:
		log.Info("Applied, and not healthy yet", "reason", result.Message)
	case result.Message != "":
		log.Info("Not applied", "reason", result.Message)
	case entry.State == store.Failed, entry.State == store.RemoveFailed, entry.State == store.Progressing:
		log.Info("As it should be again")
	}
}

// isApplied reports whether every target holds what is to be there, healthy or not.
func isApplied(state store.State) bool { return state == store.Applied || state == store.Progressing }

func resultOf(entry *store.Entry, err error) Result {
	result := Result{Key: entry.Key, UID: entry.UID, Digest: entry.Digest}
	done, failed, waiting := store.Applied, store.Failed, store.Pending
	if entry.State.Tombstone() {
		done, failed, waiting = store.Removed, store.RemoveFailed, store.Removing
	}
	switch {
	case err == nil:
		result.State = done
		return result
	case errors.Is(err, ErrWaiting):
		result.State = waiting
	case errors.Is(err, ErrProgressing):
		result.State = store.Progressing
	default:
		result.State = failed
	}
	// A message is shown in tables; the errors of several targets are lines.
	result.Message = protocol.Truncate(strings.ReplaceAll(err.Error(), "\n", "; "))
	return result
}

// toTargets applies or removes the entry at every target that it goes to, or only asks
// them for its health.
func (e *Engine) toTargets(ctx context.Context, entry *store.Entry, onlyHealth bool) (changed bool, err error) {
	if len(entry.Payload) > largeBytes {
		select {
		case e.large <- struct{}{}:
			defer func() { <-e.large }()
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	var failures targetErrors
	for _, route := range e.routes {
		if !route.Match.Matches(entry.Key) {
			continue
		}
		start := time.Now()
		changedHere, err := e.toTarget(ctx, route.Target, entry, onlyHealth)
		e.options.OnCall(route.Target.Name(), changedHere, err, time.Since(start))
		changed = changed || changedHere
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", route.Target.Name(), err))
		}
	}
	return changed, failures.join()
}

func (e *Engine) toTarget(ctx context.Context, target Target, entry *store.Entry, onlyHealth bool) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
	defer cancel()
	switch {
	case entry.State.Tombstone():
		return false, target.Remove(ctx, entry)
	case onlyHealth:
		if target, ok := target.(HealthTarget); ok {
			return false, target.Health(ctx, entry)
		}
		return false, nil
	}
	changed, err = target.Apply(ctx, entry)
	if entry.State == store.Applied && aboutHealth(err) {
		// It was healthy once: what became of that is for those to watch who run it.
		err = nil
	}
	return changed, err
}

// targetErrors are the errors of several targets. Together they are as good as the worst:
// ErrInvalid only if every one of them is, and ErrWaiting or ErrProgressing only if each
// of them is one of these.
type targetErrors []error

func (errs targetErrors) join() error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	joined := errors.Join(errs...)
	for _, classes := range [][]error{{ErrInvalid}, {ErrWaiting, ErrProgressing}} {
		other := func(err error) bool {
			return !slices.ContainsFunc(classes, func(class error) bool { return errors.Is(err, class) })
		}
		if !slices.ContainsFunc(errs, other) {
			return joined
		}
	}
	return errors.New(joined.Error())
}
