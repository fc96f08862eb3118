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

package enroll

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

// serve serves both handlers on a TLS listener, and returns its address.
func (h *harness) serve() string {
	h.t.Helper()
	authority := h.handler.CA.(*pki.Authority)
	serving, err := pki.NewServingCertificate(authority, []string{"127.0.0.1"}, time.Hour, h.clock)
	if err != nil {
		h.t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", pki.ServerTLSConfig(serving))
	if err != nil {
		h.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+joinapi.Path, h.handler)
	mux.Handle("POST "+joinapi.RenewPath, h.renewal)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	h.t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			h.t.Error("serve:", err)
		}
	})
	return listener.Addr().String()
}

// dial connects to the hub, with a certificate or without.
func (h *harness) dial(address string, certificates ...tls.Certificate) *tls.Conn {
	h.t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: h.ca.Pool(), Time: h.clock, Certificates: certificates})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	return conn
}

// send writes a request with a body that is announced as longer than it is.
func send(t *testing.T, conn net.Conn, path, body string, missing int) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n%s", path, len(body)+missing, body)
	if err != nil {
		t.Fatal(err)
	}
}

// answerOn reads the answer, and makes sure that the connection ends with it.
func answerOn(g Gomega, conn net.Conn) (int, string) {
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	g.Expect(err).NotTo(HaveOccurred())
	body, err := io.ReadAll(answer.Body)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = reader.ReadByte()
	g.Expect(err).To(MatchError(io.EOF))
	return answer.StatusCode, string(body)
}

// A body that trickles is cut off when the time for it is over, however steadily it
// comes.
func TestTricklingBodyIsCutOff(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	h.handler.readTimeout = 300 * time.Millisecond
	conn := h.dial(h.serve())
	send(t, conn, joinapi.Path, "{", joinapi.MaxRequestBytes-1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			if _, err := conn.Write([]byte(" ")); err != nil {
				return // the hub has had enough
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()

	status, body := answerOn(g, conn)

	close(stop)
	<-stopped
	g.Expect(status).To(Equal(http.StatusRequestTimeout))
	g.Expect(body).To(ContainSubstring("not complete after 300ms"))
	g.Expect(counted(g, h.handler.requests)).To(HaveKeyWithValue(timedOut, 1.0))
	g.Expect(h.handler.slots).To(BeEmpty())
}

// Who is refused before its body is read does not keep its connection by not sending it.
func TestUnreadBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	h.renewal.readTimeout = 300 * time.Millisecond
	conn := h.dial(h.serve())
	send(t, conn, joinapi.RenewPath, "", 100)

	status, _ := answerOn(g, conn)

	g.Expect(status).To(Equal(http.StatusUnauthorized))
}

// Slow callers hold none of the places that joins are worked on.
func TestSlowCallersDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	h.handler.readTimeout = patience
	address := h.serve()
	for range maxConcurrent + 1 {
		send(t, h.dial(address), joinapi.Path, "{", 100)
	}
	conn := h.dial(address)
	send(t, conn, joinapi.Path, string(joinBody(t, h.token(Token{}), "edge-1")), 0)

	status, body := answerOn(g, conn)

	g.Expect(status).To(Equal(http.StatusOK), body)
}

// A caller that goes away before it has the answer gives its place back.
func TestCallerThatGoesAway(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	address := h.serve()
	for range 3 {
		conn := h.dial(address)
		send(t, conn, joinapi.Path, "{", 100)
		g.Expect(conn.Close()).To(Succeed())
	}
	g.Eventually(func() float64 { return counted(g, h.handler.requests)[malformed] }).WithTimeout(patience).Should(Equal(3.0))
	g.Expect(h.handler.slots).To(BeEmpty())
}

// nodeKey is a key and the certificate that was issued for it.
func (h *harness) nodeKey(name string) tls.Certificate {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	csr, err := pki.NewRequest(key)
	if err != nil {
		h.t.Fatal(err)
	}
	body, err := json.Marshal(joinapi.Request{Token: h.token(Token{Node: name}), Node: name, CSR: string(csr)})
	if err != nil {
		h.t.Fatal(err)
	}
	status, answer := h.post(body, remote)
	if status != http.StatusOK {
		h.t.Fatal(answer)
	}
	cert, _ := parseResponse(NewWithT(h.t), answer)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// An expired certificate gets through the handshake, and is renewed or told what to do;
// one that is not the hub's does not get that far.
func TestRenewOverMutualTLS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		away   time.Duration
		status int
		text   string
	}{
		"in time":     {30 * time.Minute, 200, "BEGIN CERTIFICATE"},
		"expired":     {20 * time.Hour, 200, "BEGIN CERTIFICATE"},
		"away a year": {365 * 24 * time.Hour, 403, "edge-agent join --force"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			h := newHarness(t)
			identity := h.nodeKey("edge-1")
			h.advance(test.away)
			conn := h.dial(h.serve(), identity)
			send(t, conn, joinapi.RenewPath, string(renewBody(t)), 0)

			status, body := answerOn(g, conn)

			g.Expect(status).To(Equal(test.status), body)
			g.Expect(body).To(ContainSubstring(test.text))
		})
	}
	t.Run("of another CA", func(t *testing.T) {
		t.Parallel()
		g := NewWithT(t)
		h := newHarness(t)
		conn := h.dial(h.serve(), newHarness(t).nodeKey("edge-1"))
		// The alert comes after the client's side of the handshake is done.
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n", joinapi.RenewPath)
		_, err := conn.Read(make([]byte, 1))
		g.Expect(err).To(HaveOccurred())
		g.Expect(err).NotTo(MatchError(io.EOF))
		g.Expect(more(nil, counted(g, h.renewal.requests))).To(BeEmpty())
	})
}

// hostileRequest asks for all that a node must not have.
func hostileRequest(t *testing.T, key crypto.Signer) string {
	t.Helper()
	extension := func(id asn1.ObjectIdentifier, value any) pkix.Extension {
		der, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: id, Critical: true, Value: der}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{
			CommonName: "system:edgesync:node:edge-2", Organization: []string{"system:masters"}, SerialNumber: "uid/99",
		},
		DNSNames:       []string{"hub.example.com"},
		EmailAddresses: []string{"root@example.com"},
		IPAddresses:    []net.IP{net.IPv4(127, 0, 0, 1)},
		URIs:           []*url.URL{{Scheme: "spiffe", Host: "example.com"}},
		ExtraExtensions: []pkix.Extension{
			extension(asn1.ObjectIdentifier{2, 5, 29, 19}, struct{ CA bool }{true}),
			extension(asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}), // cert and CRL sign
			extension(asn1.ObjectIdentifier{2, 5, 29, 37}, []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}}),
		},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// Nothing that a certificate request asks for is in the certificate, but its key.
func TestOnlyTheKeyIsTakenFromTheRequest(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	present := h.joinedNode("edge-1")
	requests := map[string]func(csr string) (int, string){
		"join": func(csr string) (int, string) {
			body, _ := json.Marshal(joinapi.Request{Token: h.token(Token{Node: "edge-1", Rejoin: true}), Node: "edge-1", CSR: csr})
			return h.post(body, remote)
		},
		"renew": func(csr string) (int, string) {
			body, _ := json.Marshal(joinapi.RenewRequest{CSR: csr})
			return serveOn(h.renewal, renewRequest(present, bytes.NewReader(body)))
		},
	}
	for _, name := range []string{"renew", "join"} { // a join takes the place of the present certificate
		g := NewWithT(t)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		g.Expect(err).NotTo(HaveOccurred())

		status, body := requests[name](hostileRequest(t, key))

		g.Expect(status).To(Equal(http.StatusOK), name+": "+body)
		cert, _ := parseResponse(g, body)
		g.Expect(cert.PublicKey).To(Equal(key.Public()), name)
		g.Expect(cert.Subject.CommonName).To(Equal("system:edgesync:node:edge-1"), name)
		g.Expect(cert.Subject.Organization).To(Equal([]string{pki.NodeOrganization}), name)
		g.Expect(cert.Subject.SerialNumber).To(HavePrefix(string(h.edgeNode("edge-1").UID)+"/"), name)
		g.Expect(strings.HasSuffix(cert.Subject.SerialNumber, "/99")).To(BeFalse(), name)
		g.Expect(append(cert.DNSNames, cert.EmailAddresses...)).To(BeEmpty(), name)
		g.Expect(cert.IPAddresses).To(BeEmpty(), name)
		g.Expect(cert.URIs).To(BeEmpty(), name)
		g.Expect(cert.IsCA).To(BeFalse(), name)
		g.Expect(cert.KeyUsage).To(Equal(x509.KeyUsageDigitalSignature), name)
		g.Expect(cert.ExtKeyUsage).To(Equal([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}), name)
		g.Expect(cert.NotAfter).To(Equal(now.Add(time.Hour)), name)
	}
}
