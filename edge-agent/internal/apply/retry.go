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
	"math/rand/v2"
	"time"

	"github.com/edgesync/edgesync/internal/object"
)

// retry is a key that failed and waits for another attempt.
type retry struct {
	attempts int
	timer    *time.Timer
}

// delay doubles with each attempt from first up to most, and takes away up to half
// of that at random, so that what failed together is not tried together.
func delay(first, most time.Duration, attempts int) time.Duration {
	d := most
	if doublings := attempts - 1; doublings < 30 {
		d = min(first<<doublings, most)
	}
	return d - rand.N(d/2+1)
}

// retryLater has the key worked on again after a while, of up to most, and returns how
// many attempts in a row were in vain.
func (e *Engine) retryLater(key object.Key, most time.Duration) (attempts int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.retries[key]
	if r == nil {
		r = &retry{}
		e.retries[key] = r
	} else {
		r.timer.Stop()
	}
	r.attempts++
	r.timer = time.AfterFunc(delay(e.options.FirstRetry, most, r.attempts), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.add(key, stageRetry)
	})
	return r.attempts
}

// stopRetrying is forgetRetry for a key that nothing is left to do about.
func (e *Engine) stopRetrying(key object.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgetRetry(key)
}

// forgetRetry makes the next failure of the key the first. The caller holds e.mu.
func (e *Engine) forgetRetry(key object.Key) {
	if r := e.retries[key]; r != nil {
		r.timer.Stop()
		delete(e.retries, key)
	}
}
