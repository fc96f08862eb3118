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

package enroll

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// maxLimited is how many keys a limiter remembers: those that it saw last.
const maxLimited = 10_000

// limiter bounds how often something may happen by a key. It may be used concurrently.
type limiter struct {
	interval time.Duration
	burst    int

	mu   sync.Mutex
	keys *lru.Cache // to *rate.Limiter; guarded by mu
}

// newLimiter allows a burst, and then one each interval.
func newLimiter(interval time.Duration, burst int) *limiter {
	return &limiter{interval: interval, burst: burst, keys: lru.New(maxLimited)}
}

// exhausted tells whether take would return false. It does not make the key known.
func (l *limiter) exhausted(key any, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.keys.Get(key)
	return ok && known.(*rate.Limiter).TokensAt(now) < 1
}

// take counts one, unless the key has had too many.
func (l *limiter) take(key any, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.keys.Get(key)
	if !ok {
		known = rate.NewLimiter(rate.Every(l.interval), l.burst)
		l.keys.Add(key, known)
	}
	return known.(*rate.Limiter).AllowN(now, 1)
}
