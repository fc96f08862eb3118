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

package controllers

import (
	"sync"
	"time"
)

// unrest is when nodes last lost their sessions with many others, so that they are expected back
// any moment: when this manager started, and when another replica has died.
type unrest struct {
	mu            sync.Mutex
	start, latest time.Time
}

func (u *unrest) begin(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.start, u.latest = now, now
}

func (u *unrest) replicaDied(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.latest = now
}

// started is when everything was primed; false if it is not yet.
func (u *unrest) started() (time.Time, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.start, !u.start.IsZero()
}

// last is when nodes last lost their sessions with many others.
func (u *unrest) last() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.latest
}
