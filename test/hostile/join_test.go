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
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"strings"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// writesPerJoin: the token, the EdgeNode, its status twice, Events.
const writesPerJoin = 8

func joins() []attack {
	return []attack{
		{
			name: "token replayed after its use", run: replayToken,
			gets: []string{"HTTP 401", "HTTP 429"}, counted: []string{notJoined("token_used"), notJoined("rate_limited")},
		},
		{
			name: "1,000 tries to guess the secret of a token", run: guessToken,
			gets: []string{"HTTP 401", "HTTP 429"}, counted: []string{notJoined("token_wrong"), notJoined("rate_limited")},
		},
		{
			name: "request for another CN, SANs, a CA bit and server usage", run: greedyRequests,
			gets: []string{"certificate of its own name for client authentication"}, counted: []string{notJoined("joined")},
			writes: 20 * writesPerJoin,
		},
		{
			name: "request with an RSA or P-384 key, or not signed by its key", run: wrongKeys,
			gets: []string{"HTTP 400"}, counted: []string{notJoined("malformed")},
		},
	}
}

// replayToken tries a token that somebody else has used, from many addresses and then
// from one. The answer is the same as to a token that has never been.
func replayToken(s *siege) {
	used := s.newJoin(s.g, s.nextName())
	used.Token = s.newToken(s.g, "--node-prefix="+namePrefix)
	s.enlistAs(used)
	unknown := used
	unknown.Token = "aaaaaaaa." + strings.Repeat("a", 52)
	stubborn := caller{from: s.elsewhere()}
	answer := s.refusalOf(unknown, stubborn)
	for i := 0; s.goOn(i, 12); i++ {
		again := s.newJoin(s.g, []string{used.Node, s.nextName()}[i%2])
		again.Token = used.Token
		s.g.Expect(s.refusalOf(again, caller{from: s.elsewhere()})).To(Equal(answer))
		s.add("HTTP 401")
		s.add(s.ask(joinapi.Path, stubborn, again.Request))
	}
}

// refusalOf is the whole answer to a join but for its time.
func (s *siege) refusalOf(j joining, as caller) string {
	response, err := s.postJSON(joinapi.Path, as, j.Request)
	s.g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	s.g.Expect(err).NotTo(HaveOccurred())
	response.Header.Del("Date")
	return fmt.Sprint(response.StatusCode, response.Header, string(body))
}

// guessToken has a limit to its tries: they are many for one address, and the next comes
// from an address that has not failed.
func guessToken(s *siege) {
	id, _, _ := strings.Cut(s.token, ".")
	as := caller{from: s.elsewhere()}
	s.start()
	err := inParallel(8, 1000, func(int) error {
		var guess [32]byte
		_, _ = rand.Read(guess[:])
		request := s.newJoin(s.g, namePrefix+"guessed")
		request.Token = joinapi.FormatToken(id, fmt.Sprintf("%x", guess))
		s.add(s.ask(joinapi.Path, as, request.Request))
		return nil
	})
	s.g.Expect(err).NotTo(HaveOccurred())
	s.enlist()
}

// greedyRequests ask for all that a certificate can give.
func greedyRequests(s *siege) {
	s.start()
	for range 20 {
		request := s.newJoin(s.g, s.nextName())
		request.CSR = s.greedyCSR(request.key)
		leaf := s.enlistAs(request).certificate.Leaf
		node, err := pki.NodeOf(leaf)
		s.g.Expect(err).NotTo(HaveOccurred())
		s.g.Expect(node.Name).To(Equal(request.Node))
		s.g.Expect(leaf.Subject.Names).To(HaveLen(3), "CN, O and serial number: %s", leaf.Subject)
		s.g.Expect(leaf.DNSNames).To(BeEmpty())
		s.g.Expect(leaf.IPAddresses).To(BeEmpty())
		s.g.Expect(leaf.EmailAddresses).To(BeEmpty())
		s.g.Expect(leaf.URIs).To(BeEmpty())
		s.g.Expect(leaf.IsCA).To(BeFalse())
		s.g.Expect(leaf.KeyUsage).To(Equal(x509.KeyUsageDigitalSignature))
		s.g.Expect(leaf.ExtKeyUsage).To(Equal([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}))
		s.g.Expect(leaf.UnknownExtKeyUsage).To(BeEmpty())
		s.add("certificate of its own name for client authentication")
	}
}

// Object identifiers of extensions (RFC 5280, section 4.2.1).
var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidServerAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
)

func (s *siege) greedyCSR(key crypto.Signer) string {
	extension := func(id asn1.ObjectIdentifier, value any) pkix.Extension {
		der, err := asn1.Marshal(value)
		s.g.Expect(err).NotTo(HaveOccurred())
		return pkix.Extension{Id: id, Critical: true, Value: der}
	}
	return s.encodeCSR(key, &x509.CertificateRequest{
		Subject: pkix.Name{
			CommonName: "system:edgesync:node:" + honestName, Organization: []string{pki.NodeOrganization, "system:masters"},
			OrganizationalUnit: []string{"admins"}, SerialNumber: "uid/99",
		},
		DNSNames: []string{"localhost", "kubernetes.default.svc"}, EmailAddresses: []string{"root@localhost"},
		IPAddresses: []net.IP{net.ParseIP(home)},
		ExtraExtensions: []pkix.Extension{
			extension(oidBasicConstraints, struct{ IsCA bool }{true}),
			extension(oidKeyUsage, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}), // keyCertSign, cRLSign
			extension(oidExtKeyUsage, []asn1.ObjectIdentifier{oidServerAuth}),
		},
	})
}

func (s *siege) encodeCSR(key crypto.Signer, template *x509.CertificateRequest) string {
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	s.g.Expect(err).NotTo(HaveOccurred())
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func wrongKeys(s *siege) {
	short, err := rsa.GenerateKey(rand.Reader, 2048)
	s.g.Expect(err).NotTo(HaveOccurred())
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	s.g.Expect(err).NotTo(HaveOccurred())
	requests := []string{
		s.encodeCSR(short, &x509.CertificateRequest{}),
		s.encodeCSR(curve, &x509.CertificateRequest{}),
		s.forgedCSR(),
		"-----BEGIN CERTIFICATE REQUEST-----\n" + strings.Repeat("A", 60<<10) + "\n-----END CERTIFICATE REQUEST-----\n",
	}
	for i := 0; s.goOn(i, len(requests)); i++ {
		request := s.newJoin(s.g, namePrefix+"wrong-key")
		request.CSR = requests[i%len(requests)]
		s.add(s.ask(joinapi.Path, caller{from: s.elsewhere()}, request.Request)) // too many from one address are not looked at
	}
	_, err = s.edgeNode(namePrefix + "wrong-key")
	s.g.Expect(err).To(MatchError(ContainSubstring("not found")))
}

// forgedCSR has the public key of somebody else.
func (s *siege) forgedCSR() string {
	block, _ := pem.Decode([]byte(s.newJoin(s.g, "").CSR))
	other, _ := pem.Decode([]byte(s.newJoin(s.g, "").CSR))
	own, err := x509.ParseCertificateRequest(block.Bytes)
	s.g.Expect(err).NotTo(HaveOccurred())
	stolen, err := x509.ParseCertificateRequest(other.Bytes)
	s.g.Expect(err).NotTo(HaveOccurred())
	forged := strings.Replace(string(own.Raw), string(own.RawSubjectPublicKeyInfo), string(stolen.RawSubjectPublicKeyInfo), 1)
	s.g.Expect(forged).NotTo(Equal(string(own.Raw)))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte(forged)}))
}
