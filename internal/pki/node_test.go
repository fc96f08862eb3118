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
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func request(t testing.TB, key crypto.Signer, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificateRequest, Bytes: der})
}

// extension encodes a value as the request of an X.509 extension.
func extension(t testing.TB, oid asn1.ObjectIdentifier, value any) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: oid, Critical: true, Value: der}
}

func TestOnlyTheKeyOfARequestCounts(t *testing.T) {
	t.Parallel()
	var (
		basicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
		keyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
		extKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
		serverAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	)
	hostile := map[string]*x509.CertificateRequest{
		"nothing":            {},
		"other node":         {Subject: pkix.Name{CommonName: "system:edgesync:node:edge-2"}},
		"cluster admin":      {Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}},
		"the hub's names":    {DNSNames: []string{"hub.example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}},
		"other SANs":         {EmailAddresses: []string{"a@b.c"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "x"}}},
		"CA bit":             {ExtraExtensions: []pkix.Extension{extension(t, basicConstraints, struct{ IsCA bool }{true})}},
		"signing key usage":  {ExtraExtensions: []pkix.Extension{extension(t, keyUsage, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7})}},
		"server usage":       {ExtraExtensions: []pkix.Extension{extension(t, extKeyUsage, []asn1.ObjectIdentifier{serverAuth})}},
		"unknown extensions": {ExtraExtensions: []pkix.Extension{extension(t, asn1.ObjectIdentifier{1, 2, 3, 4}, "x")}},
	}
	ca := newCA(t)
	for name, template := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			key := newKey(t)
			public, err := RequestKey(request(t, key, template))
			g.Expect(err).NotTo(HaveOccurred())

			cert, err := ca.IssueNode(nodeNamed("edge-1"), public, NodeLifetime, now)

			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(key.PublicKey.Equal(cert.PublicKey)).To(BeTrue())
			g.Expect(cert.Subject.String()).To(Equal("SERIALNUMBER=uid-1/1,CN=system:edgesync:node:edge-1,O=system:edgesync:nodes"))
			g.Expect(cert.IsCA).To(BeFalse())
			g.Expect(cert.KeyUsage).To(Equal(x509.KeyUsageDigitalSignature))
			g.Expect(cert.ExtKeyUsage).To(Equal([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}))
			g.Expect(cert.UnknownExtKeyUsage).To(BeEmpty())
			g.Expect(cert.DNSNames).To(BeEmpty())
			g.Expect(cert.IPAddresses).To(BeEmpty())
			g.Expect(cert.EmailAddresses).To(BeEmpty())
			g.Expect(cert.URIs).To(BeEmpty())
			g.Expect(cert.Extensions).To(HaveLen(4), "key usage, extended key usage, basic constraints, authority key ID")
			g.Expect(cert.NotBefore).To(Equal(now.Add(-clockSkew)))
			g.Expect(cert.NotAfter).To(Equal(now.Add(NodeLifetime)))
		})
	}
}

func TestRequestKey(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	foreign, err := rsaKey()
	g.Expect(err).NotTo(HaveOccurred())
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	empty := &x509.CertificateRequest{}

	public, err := RequestKey(request(t, edKey, empty))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(public).To(Equal(edPublic))
	own, err := NewRequest(edKey)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(RequestKey(own)).To(Equal(edPublic))

	good := request(t, newKey(t), empty)
	block, _ := pem.Decode(good)
	forged := append([]byte(nil), block.Bytes...)
	forged[len(forged)-1] ^= 1 // the last byte belongs to the signature
	refused := map[string]struct {
		request []byte
		err     string
	}{
		"RSA":            {request(t, foreign, empty), "ECDSA P-256 or Ed25519"},
		"P-384":          {request(t, p384, empty), "ECDSA P-256 or Ed25519"},
		"nothing":        {nil, "no PEM block"},
		"not PEM":        {[]byte("hello"), "no PEM block"},
		"a certificate":  {newCA(t).CertificatePEM(), "no PEM block of type"},
		"garbage in PEM": {pem.EncodeToMemory(&pem.Block{Type: pemCertificateRequest, Bytes: []byte("x")}), "parse"},
		"another's key":  {pem.EncodeToMemory(&pem.Block{Type: pemCertificateRequest, Bytes: forged}), "not signed by its own key"},
	}
	for name, test := range refused {
		_, err := RequestKey(test.request)
		g.Expect(err).To(MatchError(ContainSubstring(test.err)), name)
	}
}

func TestIssueNodeRefuses(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, key := newCA(t), newKey(t)
	for _, name := range []string{"", "Edge", "a b", "a,O=system:masters", "-a", "a..b", strings.Repeat("a", 254)} {
		_, err := ca.IssueNode(nodeNamed(name), key.Public(), time.Hour, now)
		g.Expect(err).To(HaveOccurred(), name)
	}
	foreign, err := rsaKey()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = ca.IssueNode(nodeNamed("edge-1"), foreign.Public(), time.Hour, now)
	g.Expect(err).To(MatchError(ContainSubstring("ECDSA P-256 or Ed25519")))
}

func nodeCertificate(cn string, organizations ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: cn, Organization: organizations, SerialNumber: "uid-1/1"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func TestNodeOf(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("a", 253)
	tests := map[string]struct {
		cert *x509.Certificate
		want string // empty: refused
	}{
		"plain":              {nodeCertificate("system:edgesync:node:edge-1", NodeOrganization), "edge-1"},
		"with dots":          {nodeCertificate("system:edgesync:node:a.b.c", NodeOrganization), "a.b.c"},
		"longest":            {nodeCertificate("system:edgesync:node:"+longest, NodeOrganization), longest},
		"too long":           {nodeCertificate("system:edgesync:node:"+longest+"a", NodeOrganization), ""},
		"empty":              {nodeCertificate("system:edgesync:node:", NodeOrganization), ""},
		"path":               {nodeCertificate("system:edgesync:node:../x", NodeOrganization), ""},
		"line break":         {nodeCertificate("system:edgesync:node:a\nb", NodeOrganization), ""},
		"a kubelet":          {nodeCertificate("system:node:edge-1", "system:nodes"), ""},
		"no organization":    {nodeCertificate("system:edgesync:node:edge-1"), ""},
		"more organizations": {nodeCertificate("system:edgesync:node:edge-1", NodeOrganization, "system:masters"), ""},
		"the hub":            {nodeCertificate("edgesync-hub"), ""},
		"more usages": {&x509.Certificate{
			Subject:     pkix.Name{CommonName: "system:edgesync:node:edge-1", Organization: []string{NodeOrganization}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}, ""},
		"a CA": {&x509.Certificate{
			Subject:     pkix.Name{CommonName: "system:edgesync:node:edge-1", Organization: []string{NodeOrganization}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			IsCA:        true,
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			got, err := NodeOf(test.cert)
			g.Expect(got.Name).To(Equal(test.want))
			g.Expect(err != nil).To(Equal(test.want == ""))
		})
	}
}

func FuzzNodeOf(f *testing.F) {
	for _, cn := range []string{"system:edgesync:node:edge-1", "system:edgesync:node:", "", "system:edgesync:node:A", "system:edgesync:node:a.b"} {
		f.Add(cn, NodeOrganization, "uid-1/1")
		f.Add(cn, NodeOrganization, "/")
	}
	f.Fuzz(func(t *testing.T, cn, organization, serialNumber string) {
		cert := nodeCertificate(cn, organization)
		cert.Subject.SerialNumber = serialNumber
		node, err := NodeOf(cert)
		if err != nil {
			if node != (Node{}) {
				t.Fatalf("a node beside an error: %v", node)
			}
			return
		}
		if cn != nodeNamePrefix+node.Name || organization != NodeOrganization || node.validate() != nil {
			t.Fatalf("accepted %q of %q with %q as %v", cn, organization, serialNumber, node)
		}
	})
}

func TestNodeOfReadsWhatIssueNodeWrites(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	node := Node{Name: "edge-1", UID: "6a0f5d5e-1b7a-4f5e-9a52-0f6f3a1d2c3b", Join: 7}
	key := newKey(t)
	cert, err := newCA(t).IssueNode(node, key.Public(), time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(NodeOf(cert)).To(Equal(node))

	for _, serialNumber := range []string{"", "uid", "uid/", "/1", "uid/0", "uid/-1", "uid/x", "a b/1", strings.Repeat("u", 65) + "/1"} {
		cert := nodeCertificate("system:edgesync:node:edge-1", NodeOrganization)
		cert.Subject.SerialNumber = serialNumber
		_, err := NodeOf(cert)
		g.Expect(err).To(HaveOccurred(), serialNumber)
	}
}

// nodeNamed is a node of that name.
func nodeNamed(name string) Node { return Node{Name: name, UID: "uid-1", Join: 1} }

func FuzzRequestKey(f *testing.F) {
	f.Add(request(f, newKey(f), &x509.CertificateRequest{}))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if public, err := RequestKey(data); err == nil && checkNodeKey(public) != nil {
			t.Fatalf("accepted a %T", public)
		}
	})
}
