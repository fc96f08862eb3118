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

import "github.com/edgesync/edgesync/edge-agent/internal/store"

// maxBatch bounds how many results are recorded in one transaction.
const maxBatch = 256

// finished is a result on its way to the store.
type finished struct {
	result   Result
	revision uint64
}

// record writes results to the store until e.results is closed. What comes while
// the disk is busy is written together.
func (e *Engine) record() {
	for first := range e.results {
		e.recordBatch(e.collect(first))
	}
}

func (e *Engine) collect(first finished) []finished {
	batch := []finished{first}
	for len(batch) < maxBatch {
		select {
		case next, ok := <-e.results:
			if !ok {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// recordBatch has what could not be recorded done again, which changes nothing at
// the targets.
func (e *Engine) recordBatch(batch []finished) {
	changes := make([]store.StateChange, len(batch))
	results := make([]Result, len(batch))
	for i, f := range batch {
		changes[i] = store.StateChange{Key: f.result.Key, Revision: f.revision, State: f.result.State, Message: f.result.Message}
		results[i] = f.result
	}
	if err := e.store.SetStates(changes); err != nil {
		if !e.unrecorded {
			e.options.Logger.Error(err, "Cannot record what was applied; it will be applied again")
		}
		e.unrecorded = true
		for _, f := range batch {
			e.retryLater(f.result.Key, e.options.MaxRetry)
		}
		return
	}
	if e.unrecorded {
		e.options.Logger.Info("What is applied can be recorded again")
	}
	e.unrecorded = false
	e.options.OnResults(results)
}
