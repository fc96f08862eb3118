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
	"crypto/x509/pkix"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func clock() time.Time { return now }

// hubOf is what a hub of the authority listens with.
func hubOf(t testing.TB, authority *Authority, clock func() time.Time) *tls.Config {
	t.Helper()
	serving, err := NewServingCertificate(authority, []string{"hub"}, ServerLifetime, clock)
	if err != nil {
		t.Fatal(err)
	}
	return ServerTLSConfig(serving)
}

// nodeOf is an identity that the CA has issued at that time.
func nodeOf(t testing.TB, ca *CA, lifetime time.Duration, at time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	cert, err := ca.IssueNode(nodeNamed("edge-1"), key.Public(), lifetime, at)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// signedBy is an identity that IssueNode would never make.
func signedBy(t testing.TB, ca *CA, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: nodeNamePrefix + "edge-1", Organization: []string{NodeOrganization}, SerialNumber: "uid-1/1"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	change(template)
	cert, err := create(template, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func TestWhoIsLetIntoAConnection(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, err := NewCA(now.AddDate(-3, 0, 0))
	g.Expect(err).NotTo(HaveOccurred())
	evil := newCA(t)
	server := hubOf(t, NewAuthority(ca), clock)
	hub, err := ca.IssueServer([]string{"hub"}, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	good := nodeOf(t, ca, time.Hour, now)
	stolen := tls.Certificate{Certificate: good.Certificate, PrivateKey: newKey(t)}
	// An issuer below the CA, and what it has issued, presented together.
	below := newCA(t)
	below.cert, err = ca.crossSign(below.cert)
	g.Expect(err).NotTo(HaveOccurred())
	fromBelow := nodeOf(t, below, time.Hour, now)
	fromBelow.Certificate = append(fromBelow.Certificate, below.cert.Raw)

	tests := map[string]struct {
		present *tls.Certificate // nil: none
		maximum uint16
		refused string // what the hub says; empty: let in
		expired bool
	}{
		"no certificate":             {},
		"node":                       {present: &good},
		"expired a moment ago":       {present: ptr(nodeOf(t, ca, time.Hour, now.Add(-time.Hour-time.Second))), expired: true},
		"expired years ago":          {present: ptr(nodeOf(t, ca, time.Hour, now.AddDate(-2, 0, 0))), expired: true},
		"not valid yet":              {present: ptr(signedBy(t, ca, validity(now.Add(time.Hour), now.Add(2*time.Hour)))), refused: "not yet valid"},
		"ended before it began":      {present: ptr(signedBy(t, ca, validity(now.Add(2*time.Hour), now.Add(time.Hour)))), refused: "not yet valid"},
		"of another CA":              {present: ptr(nodeOf(t, evil, time.Hour, now)), refused: "unknown authority"},
		"of another CA, and expired": {present: ptr(nodeOf(t, evil, time.Hour, now.Add(-clockSkew))), refused: "unknown authority"},
		"of an issuer below the CA":  {present: &fromBelow, refused: "unknown authority"},
		"the hub's own":              {present: hub, refused: "incompatible key usage"},
		"the CA's own":               {present: &tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key}, refused: "not that of a node"},
		"no usage at all":            {present: ptr(signedBy(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = nil })), refused: "not that of a node"},
		"another subject":            {present: ptr(signedBy(t, ca, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "admin"} })), refused: "not that of a node"},
		"a key that is not its own":  {present: &stolen, refused: "invalid signature by the client certificate"},
		"TLS 1.2":                    {maximum: tls.VersionTLS12, refused: "unsupported versions"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "hub", Time: clock, MaxVersion: test.maximum}
			if test.present != nil {
				client.Certificates = []tls.Certificate{*test.present}
			}
			state, err := handshake(t, server, client)
			if test.refused != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.refused)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			peer, err := PeerOf(state)
			if test.present == nil {
				g.Expect(err).To(MatchError(ContainSubstring("join the node first")))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(peer.Node).To(Equal(nodeNamed("edge-1")))
			g.Expect(peer.Certificate.Raw).To(Equal(test.present.Certificate[0]))
			g.Expect(peer.Expired(now)).To(Equal(test.expired))
		})
	}
}

func ptr[T any](value T) *T { return &value }

func validity(from, to time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}

func TestPeerOfNobody(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	_, err := PeerOf(nil)
	g.Expect(err).To(HaveOccurred())
	_, err = PeerOf(&tls.ConnectionState{})
	g.Expect(err).To(HaveOccurred())
}

// The certificates of a CA that has expired are not accepted for a moment of the past
// at which it had not.
func TestAnExpiredCALetsNobodyIn(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	certPEM, keyPEM := selfSigned(t, newKey(t), func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	former, err := ParseCA(certPEM, keyPEM, now)
	g.Expect(err).NotTo(HaveOccurred())
	trust, err := Trust{CA: former}.Succeed(newCA(t), nil, now)
	g.Expect(err).NotTo(HaveOccurred())
	authority := NewAuthority(former)
	authority.Set(trust)
	cert, err := x509.ParseCertificate(nodeOf(t, former, time.Minute, now).Certificate[0])
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(authority.Verify(cert, now.Add(59*time.Minute))).To(Succeed())
	g.Expect(authority.Verify(cert, now.Add(61*time.Minute))).To(MatchError(ContainSubstring("unknown authority")))
}
