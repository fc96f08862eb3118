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
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// perAddress is how long one of several addresses of a host may keep the others waiting.
const perAddress = 3 * time.Second

// dialAny opens a connection to a host that may have an address for each replica of the
// hub: in an order of its own every time, since a resolver may give the same one for long,
// and the first replica on it may be the one that is dead or refuses.
func dialAny(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	return dialEach(ctx, shuffled(addresses, rand.Shuffle), func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
	})
}

// shuffled mixes the addresses of each family. The family that the system prefers stays
// the first: the other one may lead nowhere.
func shuffled(addresses []netip.Addr, shuffle func(n int, swap func(i, j int))) []netip.Addr {
	var preferred, others []netip.Addr
	for _, address := range addresses {
		if address.Unmap().Is4() == addresses[0].Unmap().Is4() {
			preferred = append(preferred, address)
		} else {
			others = append(others, address)
		}
	}
	for _, family := range [][]netip.Addr{preferred, others} {
		shuffle(len(family), func(i, j int) { family[i], family[j] = family[j], family[i] })
	}
	return append(preferred, others...)
}

// dialEach tries one address after the other. Its error is that of all of them, and the
// same whatever their order was.
func dialEach(ctx context.Context, addresses []netip.Addr, dial func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	var errs []error
	for i, address := range addresses {
		attempt, cancel := ctx, context.CancelFunc(func() {})
		if i < len(addresses)-1 {
			attempt, cancel = context.WithTimeout(ctx, perAddress)
		}
		conn, err := dial(attempt, address)
		cancel()
		if err == nil {
			return conn, nil
		}
		errs = append(errs, withoutSource(err))
		if ctx.Err() != nil {
			break
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return nil, errors.Join(errs...)
}
