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
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestSucceedAnExpiredCA(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	certPEM, keyPEM := selfSigned(t, newKey(t), func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	short, err := ParseCA(certPEM, keyPEM, now)
	g.Expect(err).NotTo(HaveOccurred())
	_, trust := generations(t, short, 1)

	at := now.Add(2 * time.Hour)
	g.Expect(trust.At(at).Earlier).To(BeEmpty(), "it drops out by itself")
	g.Expect(trust.At(at).Cross).To(BeEmpty())
	g.Expect(trust.Earlier).To(HaveLen(1), "of the copy alone")

	result, err := Trust{CA: short}.Succeed(newCA(t), hubHosts, at)
	g.Expect(err).NotTo(HaveOccurred(), "there is nobody left to strand")
	g.Expect(result.Anchors()).To(HaveLen(1))
}

func TestTrustSurvivesItsPEM(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	_, trust := generations(t, newCA(t), 3)
	keyPEM, err := trust.CA.KeyPEM()
	g.Expect(err).NotTo(HaveOccurred())
	certPEM, earlier, cross := trust.CA.CertificatePEM(), EncodeCertificates(trust.Earlier), EncodeCertificates(trust.Cross)

	loaded, err := ParseTrust(certPEM, keyPEM, earlier, cross)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(loaded.Equal(trust)).To(BeTrue())
	g.Expect(loaded.Equal(Trust{CA: trust.CA})).To(BeFalse())

	leaf := pemOf(nodeOf(t, trust.CA, time.Hour, now))
	for name, wrong := range map[string][2][]byte{
		"too many":         {slices.Concat(earlier, certPEM), cross},
		"too many crosses": {earlier, slices.Concat(cross, cross, cross, cross, cross)},
		"a leaf":           {leaf, cross},
		"a key":            {keyPEM, cross},
		"garbage":          {[]byte("x"), cross},
		"garbage behind":   {earlier, append(slices.Clone(cross), 'x')},
		"an empty block":   {[]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), nil},
	} {
		_, err := ParseTrust(certPEM, keyPEM, wrong[0], wrong[1])
		g.Expect(err).To(HaveOccurred(), name)
		g.Expect(err.Error()).NotTo(ContainSubstring(string(keyPEM[40:80])), name)
	}
}

func pemOf(cert tls.Certificate) []byte {
	parsed, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		panic(err)
	}
	return EncodeCertificate(parsed)
}

// FuzzParseTrust feeds what anybody might put into the Secrets of the CA.
func FuzzParseTrust(f *testing.F) {
	_, trust := generations(f, newCA(f), 2)
	keyPEM, err := trust.CA.KeyPEM()
	if err != nil {
		f.Fatal(err)
	}
	certPEM, earlier, cross := trust.CA.CertificatePEM(), EncodeCertificates(trust.Earlier), EncodeCertificates(trust.Cross)
	f.Add(certPEM, keyPEM, earlier, cross)
	f.Add(keyPEM, certPEM, cross, earlier)
	f.Add(certPEM, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), []byte("x"), []byte(nil))
	f.Fuzz(func(t *testing.T, certPEM, keyPEM, earlier, cross []byte) {
		trust, err := ParseTrust(certPEM, keyPEM, earlier, cross)
		if err != nil {
			return
		}
		if len(trust.Anchors()) > MaxAnchors || len(trust.Cross) > MaxAnchors*MaxAnchors {
			t.Fatalf("accepted %d anchors and %d cross certificates", len(trust.Anchors()), len(trust.Cross))
		}
		at := trust.CA.cert.NotBefore
		if _, err := ParseCA(certPEM, keyPEM, at); err != nil {
			t.Fatalf("ParseCA refuses what ParseTrust takes: %v", err)
		}
		// Whatever it is, what is made of it must hold what is promised.
		next, err := trust.Succeed(newCA(t), nil, at)
		if stranded := (*StrandedError)(nil); err != nil && !errors.As(err, &stranded) {
			return
		}
		if len(next.Anchors()) > MaxAnchors {
			t.Fatalf("%d anchors", len(next.Anchors()))
		}
	})
}

func TestServingCertificateFollowsTheTrust(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cas, trust := generations(t, newCA(t), 1)
	authority := NewAuthority(cas[0])
	serving, err := NewServingCertificate(authority, []string{"hub"}, time.Hour, clock)
	g.Expect(err).NotTo(HaveOccurred())
	before, err := serving.GetCertificate(nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(before.Certificate).To(HaveLen(2))

	authority.Set(trust)

	after, err := serving.GetCertificate(nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(parseChain(t, after)).To(Equal([]*x509.Certificate{after.Leaf, trust.Cross[0], cas[1].cert, cas[0].cert}))
	g.Expect(hasSigned(cas[1].cert, after.Leaf)).To(BeTrue())
	g.Expect(serving.GetCertificate(nil)).To(BeIdenticalTo(after))
}
