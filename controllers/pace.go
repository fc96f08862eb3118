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
	"context"
	"sync"
	"time"
)

// pace bounds the share of a processor that summing up may take, which grows with the number of
// syncs, their nodes and their objects: delivery goes first.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// paceRest is how long summing up rests, as a multiple of the time that it took.
const paceRest = 3

// wait waits until there may be summed up again, or ctx is done.
func (p *pace) wait(ctx context.Context) {
	p.mu.Lock()
	rest := time.Until(p.next)
	p.mu.Unlock()
	if rest <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(rest):
	}
}

// spent notes that there was summed up since then.
func (p *pace) spent(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.next = latest(p.next, now).Add(paceRest * now.Sub(since))
}
