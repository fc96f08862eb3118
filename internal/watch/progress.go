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

package watch

import (
	"errors"

	"github.com/edgesync/edgesync/internal/desired"
)

// The methods of this file keep the state of a watch, and tell its users when it changes.

// discovered takes over how the API server serves the kind; it is false if no source
// wants the kind in that scope.
func (w *kindWatch) discovered(res *resource) bool {
	w.set.mu.Lock()
	changed := w.resource == nil || *w.resource != *res
	w.resource = res
	w.filled, w.streaming = false, false
	wanted := false
	for id := range w.users {
		wanted = wanted || wantsScope(id, res)
	}
	w.set.mu.Unlock()
	if changed {
		w.tellUsers()
	}
	return wanted
}

// begin notes that a list begins anew.
func (w *kindWatch) begin() {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.filled, w.streaming = false, false
}

// progress notes that the table has been filled, or that changes stream. With both,
// in whichever order they come, there is no problem any longer.
func (w *kindWatch) progress(filled, streaming bool) {
	w.set.mu.Lock()
	w.filled = w.filled || filled
	w.streaming = w.streaming || streaming
	before := State{Listed: w.listed, Problem: w.problem}
	w.listed = w.listed || filled
	if w.filled && w.streaming {
		w.failures, w.problem = 0, nil
	}
	changed := before != (State{Listed: w.listed, Problem: w.problem})
	w.set.mu.Unlock()
	if changed {
		w.log.Info("Watching")
		w.tellUsers()
	}
}

// ended takes over why an attempt ended. It reports whether that was a refusal, and how
// many attempts have failed in a row.
func (w *kindWatch) ended(err error) (refused bool, failures int) {
	w.set.mu.Lock()
	if err == nil { // the watch broke off, and goes on
		defer w.set.mu.Unlock()
		return false, w.failures
	}
	refused = isRefusal(err)
	w.failures++
	failures = w.failures
	problem := w.problem
	switch {
	case errors.Is(err, errWrongScope): // a problem of the sources: see stateFor
		problem = nil
	case refused || failures >= brokenAfter:
		problem = problemOf(w.gvk, w.resource, err)
	}
	// Of the same reason, a new message may differ in nothing but a port number.
	changed := !sameReason(w.problem, problem)
	if changed {
		w.problem = problem
	}
	w.set.mu.Unlock()
	if changed {
		w.log.Info("Not watching", "cause", err.Error())
		w.tellUsers()
	}
	return refused, failures
}

func sameReason(a, b *Problem) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Reason == b.Reason
}

// tellUsers has the users look at the state again.
func (w *kindWatch) tellUsers() {
	w.set.mu.Lock()
	ids := make([]desired.SourceID, 0, len(w.users))
	for id := range w.users {
		ids = append(ids, id)
	}
	w.set.mu.Unlock()
	for _, id := range ids {
		w.set.onChange(id)
	}
}

// stateFor is called with Set.mu held.
func (w *kindWatch) stateFor(id desired.SourceID) State {
	state := State{Listed: w.listed, Problem: w.problem}
	if state.Problem == nil && w.resource != nil && !wantsScope(id, w.resource) {
		state.Problem = wrongScope(w.gvk, w.resource.namespaced)
	}
	return state
}

// wantsScope reports whether a source delivers objects of the scope of the resource.
func wantsScope(id desired.SourceID, res *resource) bool {
	return (id.Namespace != "") == res.namespaced
}
