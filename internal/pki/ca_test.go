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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestNewCASurvivesItsPEM(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	keyPEM, err := ca.KeyPEM()
	g.Expect(err).NotTo(HaveOccurred())

	loaded, err := ParseCA(ca.CertificatePEM(), keyPEM, now)

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(loaded.Hash()).To(Equal(ca.Hash()))
	g.Expect(loaded.Certificate().NotAfter).To(Equal(now.Add(CALifetime)))
	g.Expect(loaded.Certificate().MaxPathLen).To(Equal(-1), "it may hand over to any number of successors")
}

func TestParseCA(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	tests := map[string]struct {
		change func(*x509.Certificate)
		err    string // empty: accepted
	}{
		"plain":               {change: func(*x509.Certificate) {}},
		"both usages":         {change: usages(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)},
		"any usage":           {change: usages(x509.ExtKeyUsageAny)},
		"no key usage at all": {change: func(c *x509.Certificate) { c.KeyUsage = 0 }},
		"a leaf":              {change: func(c *x509.Certificate) { c.IsCA = false }, err: "not a CA certificate"},
		"no basic constraint": {change: func(c *x509.Certificate) { c.BasicConstraintsValid = false; c.IsCA = false }, err: "not a CA certificate"},
		"may not sign":        {change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, err: "does not allow signing"},
		"server only":         {change: usages(x509.ExtKeyUsageServerAuth), err: "both client and server"},
		"client only":         {change: usages(x509.ExtKeyUsageClientAuth), err: "both client and server"},
		"expired":             {change: func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, err: "expired at"},
		"of the future":       {change: func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }, err: "not valid before"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			certPEM, keyPEM := selfSigned(t, key, test.change)
			ca, err := ParseCA(certPEM, keyPEM, now)
			if test.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			expectUsable(g, ca)
		})
	}
}

func usages(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}

func expectUsable(g Gomega, ca *CA) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	node, err := ca.IssueNode(nodeNamed("edge-1"), key.Public(), time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = node.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	g.Expect(err).NotTo(HaveOccurred())
	server, err := ca.IssueServer([]string{"hub"}, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = server.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: now, DNSName: "hub"})
	g.Expect(err).NotTo(HaveOccurred())
}

func TestParseCAKeys(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, other := newCA(t), newCA(t)
	otherKey, err := other.KeyPEM()
	g.Expect(err).NotTo(HaveOccurred())

	_, err = ParseCA(ca.CertificatePEM(), otherKey, now)
	g.Expect(err).To(MatchError(ContainSubstring("does not match")))
	_, err = ParseCA([]byte("hello"), otherKey, now)
	g.Expect(err).To(HaveOccurred())
	_, err = ParseCA(ca.CertificatePEM(), []byte("hello"), now)
	g.Expect(err).To(HaveOccurred())

	strong, err := rsaKey()
	g.Expect(err).NotTo(HaveOccurred())
	certPEM, _ := selfSigned(t, strong, func(*x509.Certificate) {})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(strong)})
	loaded, err := ParseCA(certPEM, pkcs1, now)
	g.Expect(err).NotTo(HaveOccurred())
	expectUsable(g, loaded)

	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = ParseCA(selfSignedPair(t, weak))
	g.Expect(err).To(MatchError(ContainSubstring("at least 2048")))
}

func selfSignedPair(t *testing.T, key *rsa.PrivateKey) (certPEM, keyPEM []byte, at time.Time) {
	certPEM, keyPEM = selfSigned(t, key, func(*x509.Certificate) {})
	return certPEM, keyPEM, now
}

func TestSerialsAreRandomAndLong(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, key := newCA(t), newKey(t)
	seen := map[string]bool{}
	longest := 0
	for range 50 {
		cert, err := ca.IssueNode(nodeNamed("edge-1"), key.Public(), time.Hour, now)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cert.SerialNumber.Sign()).To(Equal(1))
		g.Expect(seen).NotTo(HaveKey(cert.SerialNumber.String()))
		seen[cert.SerialNumber.String()] = true
		longest = max(longest, cert.SerialNumber.BitLen())
	}
	g.Expect(longest).To(And(BeNumerically(">", 112), BeNumerically("<=", 128)))
}

func TestCertificatesEndWithTheCA(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, key := newCA(t), newKey(t)
	end := ca.Certificate().NotAfter

	cert, err := ca.IssueNode(nodeNamed("edge-1"), key.Public(), NodeLifetime, end.Add(-time.Hour))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cert.NotAfter).To(Equal(end))

	_, err = ca.IssueNode(nodeNamed("edge-1"), key.Public(), NodeLifetime, end.Add(time.Second))
	g.Expect(err).To(MatchError(ContainSubstring("CA expired")))
	_, err = ca.IssueNode(nodeNamed("edge-1"), key.Public(), 0, now)
	g.Expect(err).To(MatchError(ContainSubstring("not positive")))
}
