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

package identity

import (
	"testing"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Whatever the hub answers is refused, or is an identity that can be kept and that has
// the key of this machine.
func FuzzAccept(f *testing.F) {
	ca := newCA(f)
	chain := serverChain(f, ca)
	key, csr, err := newKey()
	if err != nil {
		f.Fatal(err)
	}
	good := issue(ca, csr, "edge-1")
	f.Add(good.Certificate, good.CA)
	f.Add(good.CA, good.CA)
	f.Add(good.Certificate+good.Certificate, good.CA+good.Certificate)
	f.Add(good.Certificate[:len(good.Certificate)/2], "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
	now := time.Now()
	f.Fuzz(func(t *testing.T, certificate, ca string) {
		identity, err := accept(&answer{Response: joinapi.Response{Certificate: certificate, CA: ca}, chain: chain}, key, now)
		if err != nil {
			return
		}
		if identity.joined, err = joinapi.ParseHub("https://hub:1"); err != nil {
			t.Fatal(err)
		}
		data, err := identity.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := parse(data); err != nil || kept.Node() != "edge-1" || !sameKey(kept.cert.PublicKey, key.Public()) {
			t.Fatalf("accepted and not kept: %v", err)
		}
	})
}

// Whatever the hub announces is refused, or leaves an identity that can be kept and by
// which this hub is one to trust.
func FuzzAnnounced(f *testing.F) {
	ca := newCA(f)
	chain := serverChain(f, ca)
	present := issued(f, ca, "edge-1")
	f.Add("https://hub:1", "https://other", ca.Certificate().Raw, ca.Certificate().Raw)
	f.Add("http://hub", "", ca.Certificate().Raw, []byte{})
	f.Add("https://hub:1/path?query#", "https://[::1]:99999", chain[0].Raw, ca.Certificate().Raw)
	now := time.Now()
	f.Fuzz(func(t *testing.T, address, other string, authority, another []byte) {
		info := &pb.HubInfo{Addresses: []string{address, other}, Authorities: [][]byte{authority, another}}
		next, err := present.Announced(info, chain, now)
		if err != nil {
			return
		}
		if err := vouch(next.cas, chain, now); err != nil {
			t.Fatal(err)
		}
		data, err := next.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := parse(data); err != nil || kept.HubInfoDigest() != next.HubInfoDigest() {
			t.Fatalf("%q, %q: accepted and not kept: %v", address, other, err)
		}
	})
}
