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

package hostile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

func forgedIdentities() []attack {
	return []attack{
		{
			name: "no certificate, but the node's name in header and query", run: nameInRequest,
			gets: []string{"HTTP 401"}, counted: []string{refused("no_certificate")},
		},
		{
			name: "own certificate, another node's name in header and query", run: nameBesideCertificate,
			gets: []string{"its own session"},
		},
		{
			name: "node's name in a certificate of another CA", run: certificateOfAnotherCA,
			gets: []string{"TLS alert: bad certificate"}, counted: []string{refused("handshake")},
		},
		{
			name: "node's name in a self-signed certificate", run: selfSigned,
			gets: []string{"TLS alert: bad certificate"}, counted: []string{refused("handshake")},
		},
		{
			name: "chain of certificates of 200 KB", run: longChain,
			gets: []string{connectionClosed}, may: []string{"TLS alert: internal error"}, counted: []string{refused("handshake")},
		},
		{
			name: "certificate of a node that has expired", run: expiredCertificate,
			gets: []string{"HTTP 401", "renewal: HTTP 200"}, counted: []string{refused("expired_certificate")},
		},
	}
}

// claimName puts the name of the honest node wherever a proxy might.
func claimName(o *opening) {
	for _, name := range []string{"X-Node-Name", "X-Forwarded-User", "X-Remote-User", "X-SSL-Client-CN"} {
		o.header.Set(name, honestName)
	}
	o.header.Set("X-Forwarded-Client-Cert", `Subject="CN=system:edgesync:node:`+honestName+`"`)
	o.query = "node=" + honestName
}

func nameInRequest(s *siege) {
	for i := 0; s.goOn(i, 1); i++ {
		s.add(s.try(caller{from: s.elsewhere()}, claimName))
	}
}

// try opens a WebSocket and says Hello, and returns how that ends.
func (s *siege) try(as caller, change ...func(*opening)) string {
	l, outcome := s.tryOpen(as, change...)
	if l == nil {
		return outcome
	}
	defer l.Close()
	if err := l.greet(); err != nil {
		return describe(err)
	}
	return "session"
}

// tryOpen opens a WebSocket, or returns why there is none.
func (s *siege) tryOpen(as caller, change ...func(*opening)) (*link, string) {
	l, response, err := s.open(as, change...)
	if err != nil && response != nil {
		return nil, fmt.Sprintf("HTTP %d", response.StatusCode)
	}
	if err != nil {
		return nil, describe(err)
	}
	return l, ""
}

func nameBesideCertificate(s *siege) {
	own := s.enlist().at(s.elsewhere())
	for i := 0; s.goOn(i, 1); i++ {
		l, _, err := s.open(own, claimName)
		s.g.Expect(err).NotTo(HaveOccurred())
		s.g.Expect(l.greet()).To(Succeed())
		_ = l.Close()
		s.add("its own session")
	}
	// That the honest node keeps its session is looked at after every attack.
	last, _, err := s.open(own, claimName)
	s.g.Expect(err).NotTo(HaveOccurred())
	defer last.Close()
	s.g.Expect(last.greet()).To(Succeed())
	s.g.Eventually(func() (string, error) {
		node, err := s.edgeNode(own.name)
		return node.Status.AgentVersion, err
	}).WithTimeout(patience).Should(Equal(hostileVersion))
}

func certificateOfAnotherCA(s *siege) {
	ca, err := pki.NewCA(time.Now())
	s.g.Expect(err).NotTo(HaveOccurred())
	node, err := s.edgeNode(honestName)
	s.g.Expect(err).NotTo(HaveOccurred())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.g.Expect(err).NotTo(HaveOccurred())
	leaf, err := ca.IssueNode(pki.Node{Name: honestName, UID: string(node.UID), Join: 1}, key.Public(), time.Hour, time.Now())
	s.g.Expect(err).NotTo(HaveOccurred())
	s.present(tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Certificate().Raw}, PrivateKey: key})
}

func selfSigned(s *siege) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "system:edgesync:node:" + honestName, Organization: []string{pki.NodeOrganization}, SerialNumber: "uid/1"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s.g.Expect(err).NotTo(HaveOccurred())
	s.present(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
}

// longChain follows a good certificate with many others.
func longChain(s *siege) {
	certificate := s.enlist().certificate
	for len(certificate.Certificate)*len(certificate.Leaf.Raw) < 200_000 {
		certificate.Certificate = append(certificate.Certificate, certificate.Leaf.Raw)
	}
	s.present(certificate)
}

// expiredCertificate opens no session. Who has its key may renew it for a while, unless
// the node is revoked.
func expiredCertificate(s *siege) {
	old := s.enlist()
	node, err := pki.NodeOf(old.certificate.Leaf)
	s.g.Expect(err).NotTo(HaveOccurred())
	ca, err := castore.Load(s.t.Context(), s.client, fleet.Namespace, time.Now())
	s.g.Expect(err).NotTo(HaveOccurred())
	leaf, err := ca.IssueNode(node, old.certificate.Leaf.PublicKey, time.Nanosecond, time.Now())
	s.g.Expect(err).NotTo(HaveOccurred())
	old.certificate.Certificate, old.certificate.Leaf = [][]byte{leaf.Raw}, leaf
	s.add("renewal: " + s.renew(old.at(s.elsewhere())))
	s.present(old.certificate)
}

// present tries to connect with a certificate, again and again.
func (s *siege) present(certificate tls.Certificate) {
	for i := 0; s.goOn(i, 1); i++ {
		s.add(s.try(caller{from: s.elsewhere(), certificates: []tls.Certificate{certificate}}))
	}
}
