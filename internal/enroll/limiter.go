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
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

const (
	failureBurst    = 10
	failureInterval = 10 * time.Second
	maxAddresses    = 10_000
)

// failureLimiter bounds failed joins by remote address: failureBurst at once, then one
// each failureInterval. Joins that succeed cost nothing, so a large site behind one
// address is not held up. It remembers the maxAddresses that failed last.
type failureLimiter struct {
	mu        sync.Mutex
	addresses *lru.Cache // netip.Prefix to *rate.Limiter; guarded by mu
}

func newFailureLimiter() *failureLimiter {
	return &failureLimiter{addresses: lru.New(maxAddresses)}
}

// blocked tells whether the address has failed too often.
func (l *failureLimiter) blocked(source netip.Prefix, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.addresses.Get(source)
	return ok && limiter.(*rate.Limiter).TokensAt(now) < 1
}

// failed counts a failure of the address.
func (l *failureLimiter) failed(source netip.Prefix, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.addresses.Get(source)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(failureInterval), failureBurst)
		l.addresses.Add(source, limiter)
	}
	limiter.(*rate.Limiter).AllowN(now, 1)
}

// sourceOf is what failures are counted by: an IPv4 address, or the /64 that one IPv6
// host usually has to itself. What cannot be parsed counts as one source.
func sourceOf(remoteAddr string) netip.Prefix {
	addrPort, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr := addrPort.Addr().Unmap()
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.WithZone("").Prefix(bits) // fails for no address with these bits
	return prefix
}
