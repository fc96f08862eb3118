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
	if s == stageCheck && entry.State != store.Applied {
		return nil
	}
	changed, err := e.toTargets(ctx, &entry)
	if ctx.Err() != nil {
		return nil // The end of the agent is no failure.
	}
	if s == stageCheck && changed {
		e.repairs.Add(1)
		e.options.Logger.Info("Repaired what was changed at the target", "object", key.String())
	}
	if s != stageCheck || err != nil {
		e.finish(&entry, err)
	}
	return nil
}

// finish decides about another attempt, and passes on what is news.
func (e *Engine) finish(entry *store.Entry, err error) {
	result := resultOf(entry, err)
	again := false
	if err == nil || errors.Is(err, ErrInvalid) {
		e.stopRetrying(entry.Key)
	} else {
		again = e.retryLater(entry.Key) > 1
	}
	if again && result.State == entry.State && result.Message == entry.Message {
		return
	}
	if err != nil {
		e.options.Logger.Info("Not applied", "object", entry.Key.String(), "state", result.State.String(), "reason", result.Message)
	}
	e.results <- finished{result: result, revision: entry.Revision}
}

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
	default:
		result.State = failed
	}
	// A message is shown in tables; the errors of several targets are lines.
	result.Message = protocol.Truncate(strings.ReplaceAll(err.Error(), "\n", "; "))
	return result
}

// toTargets applies or removes the entry at every target that it goes to.
func (e *Engine) toTargets(ctx context.Context, entry *store.Entry) (changed bool, err error) {
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
		changedHere, err := e.toTarget(ctx, route.Target, entry)
		changed = changed || changedHere
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", route.Target.Name(), err))
		}
	}
	return changed, failures.join()
}

func (e *Engine) toTarget(ctx context.Context, target Target, entry *store.Entry) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.options.Timeout)
	defer cancel()
	if entry.State.Tombstone() {
		return false, target.Remove(ctx, entry)
	}
	return target.Apply(ctx, entry)
}

// targetErrors are the errors of several targets. Together they are ErrInvalid or
// ErrWaiting only if every one of them is.
type targetErrors []error

func (errs targetErrors) join() error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	joined := errors.Join(errs...)
	for _, class := range []error{ErrInvalid, ErrWaiting} {
		if !slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, class) }) {
			return joined
		}
	}
	return errors.New(joined.Error())
}
