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
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/source"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	limiter := newLimiter(failureInterval, failureBurst)
	bad, good := source.Of("192.0.2.1:1"), source.Of("192.0.2.2:1")

	for range failureBurst {
		g.Expect(limiter.exhausted(bad, now)).To(BeFalse())
		limiter.take(bad, now)
	}

	g.Expect(limiter.exhausted(bad, now)).To(BeTrue())
	g.Expect(limiter.exhausted(good, now)).To(BeFalse())
	later := now.Add(failureInterval)
	g.Expect(limiter.exhausted(bad, later)).To(BeFalse())
	limiter.take(bad, later)
	g.Expect(limiter.exhausted(bad, later)).To(BeTrue())
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	limiter := newLimiter(failureInterval, failureBurst)
	for i := range maxLimited + 1000 {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		limiter.take(netip.PrefixFrom(addr, 32), now)
	}
	g.Expect(limiter.keys.Len()).To(Equal(maxLimited))
}
