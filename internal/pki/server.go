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
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// ServerLifetime is how long the certificate of the hub is valid by default.
const ServerLifetime = 90 * 24 * time.Hour

// IssueServer makes a key and signs a certificate for it that serves the hosts, each
// a DNS name (a leading "*." is allowed) or an IP address. The chain ends with the CA
// itself, which TLS does not need, so that a joining agent can check its pin.
func (c *CA) IssueServer(hosts []string, lifetime time.Duration, now time.Time) (*tls.Certificate, error) {
	if len(hosts) == 0 {
		return nil, errors.New("a server certificate needs at least one DNS name or IP address")
	}
	return c.issueServer(hosts, lifetime, now)
}

func (c *CA) issueServer(hosts []string, lifetime time.Duration, now time.Time) (*tls.Certificate, error) {
	return c.serve(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "edgesync-hub"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, hosts, lifetime, now)
}

// serve makes a key, and signs the template for it and for the hosts.
func (c *CA) serve(template *x509.Certificate, hosts []string, lifetime time.Duration, now time.Time) (*tls.Certificate, error) {
	if err := addHosts(template, hosts); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the server key: %w", err)
	}
	cert, err := c.issue(template, key.Public(), lifetime, now)
	if err != nil {
		return nil, fmt.Errorf("sign the server certificate: %w", err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: c.Pool(), CurrentTime: now}); err != nil {
		return nil, fmt.Errorf("the CA may not vouch for the hub: %w", err)
	}
	return &tls.Certificate{
		Certificate: [][]byte{cert.Raw, c.cert.Raw},
		PrivateKey:  key,
		Leaf:        cert,
	}, nil
}

func addHosts(template *x509.Certificate, hosts []string) error {
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		if problems := validation.IsDNS1123Subdomain(strings.TrimPrefix(host, "*.")); len(problems) > 0 {
			return fmt.Errorf("%q is neither a DNS name nor an IP address", host)
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	return nil
}

// Covers tells whether a server certificate for the hosts is good for this one.
func Covers(hosts []string, host string) bool {
	template := &x509.Certificate{}
	return addHosts(template, hosts) == nil && template.VerifyHostname(host) == nil
}

// ServingCertificate is the hub's certificate: its key lives in memory only, and it
// is replaced in process once two thirds of its lifetime have passed, and when the
// Trust of the authority is another one. It may be used concurrently.
type ServingCertificate struct {
	authority *Authority
	// sign makes a certificate and its key.
	sign func(ca *CA, now time.Time) (*tls.Certificate, error)
	now  func() time.Time

	mu      sync.Mutex
	trust   *Trust           // guarded by mu; what current was made with
	current *tls.Certificate // guarded by mu
}

// NewServingCertificate issues the first certificate, so that wrong hosts are an
// error at start and not in a handshake. now is the clock.
func NewServingCertificate(authority *Authority, hosts []string, lifetime time.Duration, now func() time.Time) (*ServingCertificate, error) {
	return newServingCertificate(authority, now, func(ca *CA, now time.Time) (*tls.Certificate, error) {
		return ca.IssueServer(hosts, lifetime, now)
	})
}

func newServingCertificate(
	authority *Authority, now func() time.Time, sign func(*CA, time.Time) (*tls.Certificate, error),
) (*ServingCertificate, error) {
	s := &ServingCertificate{authority: authority, sign: sign, now: now}
	if err := s.issue(authority.trust.Load()); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *ServingCertificate) issue(trust *Trust) error {
	cert, err := s.sign(trust.CA, s.now())
	if err != nil {
		return err
	}
	cert.Certificate = trust.chain(cert.Leaf.Raw)
	s.trust, s.current = trust, cert
	return nil
}

// GetClientCertificate is for the tls.Config of a client: it is GetCertificate.
func (s *ServingCertificate) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return s.GetCertificate(nil)
}

// GetCertificate is for tls.Config. A handshake that finds the certificate due makes
// the next one; should that fail, the old one serves for as long as it is valid.
func (s *ServingCertificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, trust := s.now(), s.authority.trust.Load()
	if trust == s.trust && now.Before(RenewalTime(s.current.Leaf)) {
		return s.current, nil
	}
	if err := s.issue(trust); err != nil && now.After(s.current.Leaf.NotAfter) {
		return nil, fmt.Errorf("renew the server certificate: %w", err)
	}
	return s.current, nil
}

// RenewalTime is when two thirds of a certificate's lifetime have passed.
func RenewalTime(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2)
}

// ServerTLSConfig is what the hub listens with: TLS 1.3 and HTTP/1.1 (a WebSocket
// needs no more). A client that presents a certificate is let in only if the authority
// verifies it, be it expired, and TLS has it prove that it holds the key. A client
// without one is let in as well, because a node that joins has none yet. So each
// handler that is for nodes must take the node from PeerOf, and see to what that says.
func ServerTLSConfig(certificate *ServingCertificate) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: certificate.GetCertificate,
		// The library would refuse expired certificates. It names no acceptable CAs to
		// the client: nodes have one certificate, and are to present it whoever has issued it.
		ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			return certificate.authority.Verify(state.PeerCertificates[0], certificate.now())
		},
		NextProtos: []string{"http/1.1"},
		// Every connection proves anew that the node holds its key.
		SessionTicketsDisabled: true,
	}
}
