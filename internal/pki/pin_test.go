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
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestHashIsOfTheKeyAlone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	key := newKey(t)
	first, keyPEM := selfSigned(t, key, func(*x509.Certificate) {})
	renewed, _ := selfSigned(t, key, func(c *x509.Certificate) { c.NotAfter = now.Add(1000 * time.Hour) })
	a, err := ParseCA(first, keyPEM, now)
	g.Expect(err).NotTo(HaveOccurred())
	b, err := ParseCA(renewed, keyPEM, now)
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(a.Hash()).To(Equal(b.Hash()))
	g.Expect(a.Hash()).NotTo(Equal(newCA(t).Hash()))
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	g.Expect(err).NotTo(HaveOccurred())
	sum := sha256.Sum256(der)
	g.Expect(a.Hash()).To(Equal("sha256:" + hex.EncodeToString(sum[:])))
	g.Expect(ValidateHash(a.Hash())).To(Succeed())
}

func TestValidateHash(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	hash := newCA(t).Hash()
	for _, wrong := range []string{"", "sha256:", hash[:len(hash)-1], hash + "00", hash[len("sha256:"):], "sha512:" + hash[7:], "sha256:" + string(make([]byte, 64))} {
		g.Expect(ValidateHash(wrong)).NotTo(Succeed(), wrong)
	}
}

func TestVerifyPinned(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, evil := newCA(t), newCA(t)
	leaf := func(ca *CA, hosts ...string) *x509.Certificate {
		cert, err := ca.IssueServer(hosts, time.Hour, now)
		g.Expect(err).NotTo(HaveOccurred())
		return cert.Leaf
	}
	node, err := ca.IssueNode(nodeNamed("hub"), newKey(t).Public(), time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	good := leaf(ca, "hub", "10.0.0.1", "::1")

	tests := map[string]struct {
		chain []*x509.Certificate
		host  string
		at    time.Time
		err   string // empty: accepted
	}{
		"DNS name":                  {[]*x509.Certificate{good, ca.cert}, "hub", now, ""},
		"IPv4":                      {[]*x509.Certificate{good, ca.cert}, "10.0.0.1", now, ""},
		"IPv6":                      {[]*x509.Certificate{good, ca.cert}, "::1", now, ""},
		"more CAs in the chain":     {[]*x509.Certificate{good, evil.cert, ca.cert}, "hub", now, ""},
		"nothing":                   {nil, "hub", now, "no certificate"},
		"leaf alone":                {[]*x509.Certificate{good}, "hub", now, "no CA certificate"},
		"the CA as the leaf":        {[]*x509.Certificate{ca.cert}, "hub", now, "no CA certificate"},
		"another CA":                {[]*x509.Certificate{leaf(evil, "hub"), evil.cert}, "hub", now, evil.Hash()},
		"another CA's leaf":         {[]*x509.Certificate{leaf(evil, "hub"), ca.cert}, "hub", now, "certificate of the server"},
		"another CA's leaf and all": {[]*x509.Certificate{leaf(evil, "hub"), evil.cert, ca.cert}, "hub", now, "certificate of the server"},
		"a node as the hub":         {[]*x509.Certificate{node, ca.cert}, "hub", now, "certificate of the server"},
		"other host":                {[]*x509.Certificate{good, ca.cert}, "hub2", now, "not hub2"},
		"other address":             {[]*x509.Certificate{good, ca.cert}, "10.0.0.2", now, "10.0.0.2"},
		"no host":                   {[]*x509.Certificate{good, ca.cert}, "", now, "no host name"},
		"expired":                   {[]*x509.Certificate{good, ca.cert}, "hub", now.Add(2 * time.Hour), "expired"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			found, err := VerifyPinned(test.chain, ca.Hash(), test.host, test.at)
			if test.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
				g.Expect(found).To(BeNil())
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(found).To(Equal(ca.cert))
		})
	}
}

func TestVerifyPinnedNamesBothHashes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, other := newCA(t), newCA(t)
	server, err := ca.IssueServer([]string{"hub"}, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())

	_, err = VerifyPinned(parseChain(t, server), other.Hash(), "hub", now)

	var pin *PinError
	g.Expect(errors.As(err, &pin)).To(BeTrue())
	g.Expect(pin.Want).To(Equal(other.Hash()))
	g.Expect(pin.Got).To(Equal([]string{ca.Hash()}))
	g.Expect(err).To(MatchError(And(ContainSubstring(ca.Hash()), ContainSubstring(other.Hash()))))
}

func parseChain(t testing.TB, cert *tls.Certificate) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for _, der := range cert.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, parsed)
	}
	return chain
}
