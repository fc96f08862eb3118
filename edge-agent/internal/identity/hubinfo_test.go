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
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func infoOf(ca *x509.Certificate, addresses ...string) *pb.HubInfo {
	return &pb.HubInfo{Addresses: addresses, Authorities: [][]byte{ca.Raw}}
}

func TestAnnounced(t *testing.T) {
	t.Parallel()
	ca, evil := newCA(t), newCA(t)
	const joined = "https://hub.example.com:8443" // as issued has it
	node := issued(t, ca, "edge-1")
	many := make([]string, protocol.MaxHubAddresses+1)
	for i := range many {
		many[i] = fmt.Sprintf("https://hub-%d", i)
	}
	for name, test := range map[string]struct {
		info *pb.HubInfo
		hubs []string
		err  string
	}{
		"no address":       {infoOf(ca.Certificate()), []string{joined}, ""},
		"one":              {infoOf(ca.Certificate(), "https://a"), []string{"https://a", joined}, ""},
		"the joined one":   {infoOf(ca.Certificate(), "https://a", joined, "https://b"), []string{"https://a", joined, "https://b"}, ""},
		"one twice":        {infoOf(ca.Certificate(), "https://a", "https://a/"), []string{"https://a", joined}, ""},
		"no URL":           {infoOf(ca.Certificate(), "https://a", "hub.example.com"), nil, "must look like https://host:port"},
		"plain HTTP":       {infoOf(ca.Certificate(), "http://a"), nil, "must look like https://host:port"},
		"too many":         {infoOf(ca.Certificate(), many...), nil, "more than"},
		"a new CA, and":    {&pb.HubInfo{Authorities: [][]byte{evil.Certificate().Raw, ca.Certificate().Raw}}, []string{joined}, ""},
		"a new CA alone":   {infoOf(evil.Certificate()), nil, "this hub is none to trust"},
		"no CA":            {&pb.HubInfo{}, nil, "no CA certificate"},
		"a node as the CA": {infoOf(node.cert), nil, "not that of a CA"},
		"no certificate":   {&pb.HubInfo{Authorities: [][]byte{{1, 2, 3}}}, nil, "a CA certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			next, err := node.Announced(test.info, serverChain(t, ca), time.Now())
			if test.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
				g.Expect(next).To(BeNil())
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(next.Hubs()).To(Equal(test.hubs))
			g.Expect(next.FromEarlierCA()).To(Equal(name == "a new CA, and"))
			data, err := next.encode(nil)
			g.Expect(err).NotTo(HaveOccurred())
			again, err := parse(data)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again.Hubs()).To(Equal(test.hubs))
			g.Expect(again.HubInfoDigest()).To(Equal(next.HubInfoDigest()))
			g.Expect(next.Announced(again.HubInfo(), nil, time.Now())).To(BeIdenticalTo(next), "nothing is new")
		})
	}
}

func TestHubInfoDigestIsThatOfWhatWasTaken(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	info := infoOf(ca.Certificate(), "https://a:1", "https://b")
	next, err := issued(t, ca, "edge-1").Announced(info, serverChain(t, ca), time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(next.HubInfoDigest()).To(Equal(protocol.HubInfoDigest(info)))
	g.Expect(next.HubInfoDigest()).NotTo(Equal(object.Digest{}))

	g.Expect(next.Announced(infoOf(ca.Certificate(), "https://a:1/", "https://b"), serverChain(t, ca), time.Now())).
		To(BeIdenticalTo(next), "the same, written otherwise, is not written to the disk with every connection")
}

// A CA takes over from another in steps, and the node can reach the hub after each.
func TestTheNodeFollowsARollover(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	first, second := newCA(t), newCA(t)
	node := issued(t, first, "edge-1")
	trust, err := pki.Trust{CA: first}.Succeed(second, []string{"127.0.0.1"}, time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	authority := pki.NewAuthority(first)
	authority.Set(trust)
	serving, err := pki.NewServingCertificate(authority, []string{"127.0.0.1"}, time.Hour, time.Now)
	g.Expect(err).NotTo(HaveOccurred())
	presented, err := serving.GetCertificate(nil)
	g.Expect(err).NotTo(HaveOccurred())
	var chain []*x509.Certificate
	for _, der := range presented.Certificate {
		cert, err := x509.ParseCertificate(der)
		g.Expect(err).NotTo(HaveOccurred())
		chain = append(chain, cert)
	}
	g.Expect(vouch(node.cas, chain, time.Now())).To(Succeed(), "who trusts the first CA trusts the hub already")

	both := &pb.HubInfo{Authorities: [][]byte{second.Certificate().Raw, first.Certificate().Raw}}
	node, err = node.Announced(both, chain, time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	node, err = node.Announced(infoOf(second.Certificate()), chain, time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(vouch(node.cas, chain, time.Now())).To(Succeed())
}
