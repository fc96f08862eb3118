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

package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

func addresses(texts ...string) (parsed []netip.Addr) {
	for _, text := range texts {
		parsed = append(parsed, netip.MustParseAddr(text))
	}
	return parsed
}

func reverse(n int, swap func(i, j int)) {
	for i := range n / 2 {
		swap(i, n-1-i)
	}
}

func TestAddressesAreShuffledWithinTheirFamily(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	mixed := addresses("2001:db8::1", "192.0.2.1", "2001:db8::2", "::ffff:192.0.2.2")
	g.Expect(shuffled(mixed, reverse)).To(Equal(addresses("2001:db8::2", "2001:db8::1", "::ffff:192.0.2.2", "192.0.2.1")))
	g.Expect(shuffled(addresses("192.0.2.1", "2001:db8::1"), reverse)).To(Equal(addresses("192.0.2.1", "2001:db8::1")))
	g.Expect(shuffled(nil, reverse)).To(BeEmpty())
}

func TestTheNextAddressIsTriedAfterOneThatIsDeadOrSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		silent := addresses("192.0.2.1")[0]
		client, server := net.Pipe()
		defer func() { _ = server.Close() }()
		var tried []netip.Addr
		start := time.Now()
		conn, err := dialEach(t.Context(), addresses("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"),
			func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
				tried = append(tried, ip)
				switch {
				case ip == silent:
					<-ctx.Done()
					return nil, ctx.Err()
				case len(tried) == 2:
					return nil, errors.New("connection refused")
				}
				return client, nil
			})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(conn.Close()).To(Succeed())
		g.Expect(tried).To(Equal(addresses("192.0.2.1", "192.0.2.2", "192.0.2.3")))
		g.Expect(time.Since(start)).To(Equal(perAddress))
	})
}

func TestTheErrorsOfAllAddressesAreTold(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	refuse := func(_ context.Context, ip netip.Addr) (net.Conn, error) {
		return nil, errors.New(ip.String() + " refuses")
	}
	_, err := dialEach(t.Context(), addresses("192.0.2.1", "192.0.2.2"), refuse)
	g.Expect(err).To(MatchError("192.0.2.1 refuses\n192.0.2.2 refuses"))
	_, again := dialEach(t.Context(), addresses("192.0.2.2", "192.0.2.1"), refuse)
	g.Expect(again).To(MatchError(err.Error()))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = dialEach(ended, addresses("192.0.2.1", "192.0.2.2"), refuse)
	g.Expect(err).To(MatchError("192.0.2.1 refuses"))
}
