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

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

var hubHosts = []string{"hub", "10.0.0.1"}

// generations are CAs of which each has succeeded the one before, and the trust in the last.
func generations(t testing.TB, first *CA, more int) (cas []*CA, trust Trust) {
	t.Helper()
	cas, trust = []*CA{first}, Trust{CA: first}
	for range more {
		next := newCA(t)
		var err error
		if trust, err = trust.Succeed(next, hubHosts, now); err != nil {
			t.Fatal(err)
		}
		cas = append(cas, next)
	}
	return cas, trust
}

// agentOf is how an agent connects that knows only this CA, from which it has its certificate.
func agentOf(t testing.TB, ca *CA) *tls.Config {
	t.Helper()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: ca.Pool(), ServerName: "hub", Time: clock,
		Certificates: []tls.Certificate{nodeOf(t, ca, time.Hour, now)},
	}
}

// join is how an agent verifies the hub that knows only the hash of a CA.
func join(t testing.TB, hash string) *tls.Config {
	t.Helper()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: "hub", InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			ca, err := VerifyPinned(state.PeerCertificates, hash, "hub", now)
			if err == nil && HashOf(ca) != hash {
				return errors.New("not the CA that was pinned")
			}
			return err
		},
	}
}

func TestThreeRollovers(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	first := newCA(t)
	authority := NewAuthority(first)
	server := hubOf(t, authority, clock) // the same all the time: nothing is restarted
	cas, _ := generations(t, first, 3)
	trust := Trust{CA: first}
	for i, ca := range cas {
		if i > 0 {
			var err error
			trust, err = trust.Succeed(ca, hubHosts, now)
			g.Expect(err).NotTo(HaveOccurred())
			authority.Set(trust)
		}
		g.Expect(authority.Anchors()).To(HaveLen(i + 1))
		g.Expect(authority.Anchors()[0]).To(Equal(ca.cert))
		for _, known := range cas[:i+1] {
			state, err := handshake(t, server, agentOf(t, known))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(PeerOf(state)).To(HaveField("Name", "edge-1"))
			_, err = handshake(t, server, join(t, known.Hash()))
			g.Expect(err).NotTo(HaveOccurred())
		}
		for _, unknown := range cas[i+1:] {
			_, err := handshake(t, server, agentOf(t, unknown))
			g.Expect(err).To(HaveOccurred())
			_, err = handshake(t, server, join(t, unknown.Hash()))
			g.Expect(err).To(MatchError(ContainSubstring("but the pinned hash is")))
		}
	}
}

func TestAfterUntrust(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cas, trust := generations(t, newCA(t), 3)
	rest, removed, err := trust.Without(cas[0].Hash())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(removed).To(Equal([]*x509.Certificate{cas[0].cert}))
	authority := NewAuthority(cas[3])
	authority.Set(rest)
	server := hubOf(t, authority, clock)

	for _, known := range cas[1:] {
		_, err := handshake(t, server, agentOf(t, known))
		g.Expect(err).NotTo(HaveOccurred())
	}
	stranded := agentOf(t, cas[0])
	_, err = handshake(t, server, stranded)
	g.Expect(err).To(MatchError(ContainSubstring("failed to verify certificate")), "it does not trust the hub")
	stranded.RootCAs = cas[3].Pool()
	_, err = handshake(t, server, stranded)
	g.Expect(err).To(MatchError(ContainSubstring("the client certificate: x509: certificate signed by unknown authority")), "nor the hub it")
	_, err = handshake(t, server, join(t, cas[0].Hash()))
	g.Expect(err).To(MatchError(ContainSubstring("but the pinned hash is")))
}

func TestWithout(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cas, trust := generations(t, newCA(t), 3)
	hashesOf := func(indexes ...int) (result []string) {
		for _, i := range indexes {
			result = append(result, cas[i].Hash())
		}
		return result
	}

	// Who trusts the first trusts the second as well, whatever the hub says.
	rest, removed, err := trust.Without(cas[1].Hash())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(hashes(removed)).To(Equal(hashesOf(1, 0)))
	g.Expect(hashes(rest.Anchors())).To(Equal(hashesOf(3, 2)))
	g.Expect(rest.Cross).To(HaveLen(1))
	g.Expect(hasSigned(cas[2].cert, rest.Cross[0])).To(BeTrue())

	_, _, err = trust.Without(cas[3].Hash())
	g.Expect(err).To(MatchError(ContainSubstring("make a new one first")))
	_, _, err = trust.Without(newCA(t).Hash())
	g.Expect(err).To(MatchError(And(ContainSubstring("no CA with the hash"), ContainSubstring(cas[2].Hash()))))

	// The CA that signs has vouched for the one in between.
	back, err := trust.Succeed(cas[2], hubHosts, now)
	g.Expect(err).NotTo(HaveOccurred())
	_, _, err = back.Without(cas[3].Hash())
	g.Expect(err).To(MatchError(ContainSubstring("vouched")))
}

func TestSucceed(t *testing.T) {
	t.Parallel()
	supplied := func(change func(*x509.Certificate)) *CA {
		certPEM, keyPEM := selfSigned(t, newKey(t), change)
		ca, err := ParseCA(certPEM, keyPEM, now)
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	pathLength := func(n int) *CA {
		return supplied(func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 })
	}
	onlyHosts := func(hosts ...string) *CA {
		return supplied(func(c *x509.Certificate) { c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, hosts })
	}
	after := func(first *CA, more int) Trust {
		_, trust := generations(t, first, more)
		return trust
	}
	key := newKey(t)
	renewed := func(end time.Duration) *CA {
		certPEM, keyPEM := selfSigned(t, key, func(c *x509.Certificate) { c.NotAfter = now.Add(end) })
		ca, err := ParseCA(certPEM, keyPEM, now)
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	rsaSigner, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM, rsaKeyPEM := selfSigned(t, rsaSigner, func(*x509.Certificate) {})
	rsaCA, err := ParseCA(rsaPEM, rsaKeyPEM, now)
	if err != nil {
		t.Fatal(err)
	}

	tests := map[string]struct {
		trust   Trust
		next    *CA
		err     string
		anchors int // of the result, if there is no error
		cross   int
	}{
		"another":                         {trust: after(newCA(t), 0), next: newCA(t), anchors: 2, cross: 1},
		"of the same name":                {trust: after(supplied(nothing), 0), next: supplied(nothing), anchors: 2, cross: 1},
		"from RSA":                        {trust: after(rsaCA, 0), next: newCA(t), anchors: 2, cross: 1},
		"to RSA":                          {trust: after(newCA(t), 0), next: rsaCA, anchors: 2, cross: 1},
		"renewed":                         {trust: after(renewed(time.Hour), 0), next: renewed(48 * time.Hour), anchors: 1},
		"renewed later on":                {trust: mustSucceed(t, after(newCA(t), 0), renewed(time.Hour)), next: renewed(48 * time.Hour), anchors: 2, cross: 1},
		"the fifth":                       {trust: after(newCA(t), 3), next: newCA(t), err: "no more than 4"},
		"from path length 0":              {trust: after(pathLength(0), 0), next: newCA(t), err: "path length"},
		"from path length 1":              {trust: after(pathLength(1), 0), next: newCA(t), anchors: 2, cross: 1},
		"from path length 1, once more":   {trust: after(pathLength(1), 1), next: newCA(t), err: "path length"},
		"to path length 0":                {trust: after(newCA(t), 0), next: pathLength(0), anchors: 2, cross: 1},
		"to another that lives shorter":   {trust: after(newCA(t), 0), next: supplied(nothing), anchors: 2, cross: 1},
		"that may not vouch for the hub":  {trust: after(newCA(t), 0), next: onlyHosts("example.com"), err: "may not vouch for the hub"},
		"that may vouch for some of it":   {trust: after(newCA(t), 0), next: onlyHosts("hub"), anchors: 2, cross: 1},
		"from one that may vouch for all": {trust: after(onlyHosts("hub"), 0), next: newCA(t), anchors: 2, cross: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			result, err := test.trust.Succeed(test.next, hubHosts, now)
			if test.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(result.Anchors()).To(HaveLen(test.anchors))
			g.Expect(result.Cross).To(HaveLen(test.cross))
			for _, cross := range result.Cross {
				g.Expect(cross.AuthorityKeyId).NotTo(BeEmpty())
				g.Expect(cross.AuthorityKeyId).NotTo(Equal(cross.SubjectKeyId), "a verifier would take it for self-signed")
			}
		})
	}
}

func nothing(*x509.Certificate) {}

func mustSucceed(t testing.TB, trust Trust, next *CA) Trust {
	t.Helper()
	result, err := trust.Succeed(next, hubHosts, now)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Whoever accepts that nodes are stranded strands no more than these.
func TestSucceedInSpiteOfStranding(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cas, trust := generations(t, newCA(t), 3)
	next := newCA(t)

	result, err := trust.Succeed(next, hubHosts, now)

	var stranded *StrandedError
	g.Expect(errors.As(err, &stranded)).To(BeTrue())
	g.Expect(hashes(stranded.Anchors)).To(Equal([]string{cas[0].Hash()}))
	authority := NewAuthority(next)
	authority.Set(result)
	server := hubOf(t, authority, clock)
	for _, known := range cas[1:] {
		_, err := handshake(t, server, agentOf(t, known))
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err = handshake(t, server, agentOf(t, cas[0]))
	g.Expect(err).To(HaveOccurred())
}

// A way back and forth between two CAs leaves no more behind than a way there.
func TestBackAndForth(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cas, trust := generations(t, newCA(t), 1)
	for i := range 10 {
		trust = mustSucceed(t, trust, cas[i%2])
		g.Expect(trust.CA).To(BeIdenticalTo(cas[i%2]))
		g.Expect(trust.Earlier).To(HaveLen(1))
		g.Expect(len(trust.Cross)).To(BeNumerically("<=", 2))
		authority := NewAuthority(trust.CA)
		authority.Set(trust)
		server := hubOf(t, authority, clock)
		for _, known := range cas {
			_, err := handshake(t, server, agentOf(t, known))
			g.Expect(err).NotTo(HaveOccurred())
		}
	}
}
