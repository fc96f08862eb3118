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

package query

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/pki"
)

// direct asks a replica itself, with a certificate and what the API server would say of a user.
func (w *world) direct(r *replica, certificate *tls.Certificate, path, user string, groups ...string) *http.Response {
	w.t.Helper()
	config := &tls.Config{RootCAs: w.authority.Pool(time.Now()), ServerName: host}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://"+r.address+path, http.NoBody)
	w.g.Expect(err).NotTo(HaveOccurred())
	if user != "" {
		request.Header.Set("X-Remote-User", user)
	}
	request.Header["X-Remote-Group"] = groups
	response, err := transport.RoundTrip(request)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func selfSigned(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{pki.ReplicaOrganization}}, SerialNumber: big.NewInt(1),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	g.Expect(err).NotTo(HaveOccurred())
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Whoever is neither the API server nor a replica gets nothing, whomever he names.
func TestStrangersGetNothing(t *testing.T) {
	w := newWorld(t)
	w.a.sessions.set("here", configMap("a", delivery.StageSynced))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.g.Expect(err).NotTo(HaveOccurred())
	ca := w.authority.Trust().CA
	node, err := ca.IssueNode(pki.Node{Name: "here", UID: "1", Join: 1}, key.Public(), time.Hour, time.Now())
	w.g.Expect(err).NotTo(HaveOccurred())
	server, err := ca.IssueServer([]string{host}, time.Hour, time.Now())
	w.g.Expect(err).NotTo(HaveOccurred())
	late, err := ca.IssueReplica("b", []string{host}, time.Minute, time.Now().Add(-time.Hour))
	w.g.Expect(err).NotTo(HaveOccurred())
	other, err := pki.NewCA(time.Now())
	w.g.Expect(err).NotTo(HaveOccurred())
	stranger, err := other.IssueReplica("b", []string{host}, time.Hour, time.Now())
	w.g.Expect(err).NotTo(HaveOccurred())
	certificate, keyPEM, err := cluster.plane.IssueClientCert("front-proxy-client", "system:masters")
	w.g.Expect(err).NotTo(HaveOccurred())
	administrator, err := tls.X509KeyPair(certificate, keyPEM)
	w.g.Expect(err).NotTo(HaveOccurred())

	for who, certificate := range map[string]*tls.Certificate{
		"nobody":                          nil,
		"a front proxy of its own making": selfSigned(t, "front-proxy-client"),
		"a replica of its own making":     selfSigned(t, "system:edgesync:replica:b"),
		"a replica of another manager":    stranger,
		"a replica of the past":           late,
		"a node":                          {Certificate: [][]byte{node.Raw}, PrivateKey: key},
		"the hub's own certificate":       server,
		"an administrator, named alike":   &administrator,
	} {
		for _, path := range []string{versionPath + "/nodeinventories/here", versionPath, "/apis", "/"} {
			response := w.direct(w.a, certificate, path, "kubernetes-admin", "system:masters")
			w.g.Expect(response.StatusCode).To(Equal(http.StatusUnauthorized), "%s, %s", who, path)
		}
	}
}

// The API server itself is served, and only what it says of a user counts.
func TestAPIServerIsServed(t *testing.T) {
	w := newWorld(t)
	w.a.sessions.set("here", configMap("a", delivery.StageSynced))
	certificate, path := apiServerCertificate(t), versionPath+"/nodeinventories/here"
	w.g.Expect(w.direct(w.a, certificate, path, "kubernetes-admin", "system:masters").StatusCode).To(Equal(http.StatusOK))
	w.g.Expect(w.direct(w.a, certificate, path, "kubernetes-admin").StatusCode).To(Equal(http.StatusForbidden))
	w.g.Expect(w.direct(w.a, certificate, path, "", "system:masters").StatusCode).To(Equal(http.StatusUnauthorized), "nobody is named")
	for _, path := range []string{versionPath + "/nodeinventories/", versionPath + "/nodeinventories/here/log", versionPath + "/other/here", "/metrics", "/"} {
		w.g.Expect(w.direct(w.a, certificate, path, "kubernetes-admin", "system:masters").StatusCode).To(Equal(http.StatusNotFound), path)
	}
}

// A replica says who asks, and whether he may is asked again; what it forwards goes no further.
func TestReplicaIsServed(t *testing.T) {
	w := newWorld(t)
	w.b.sessions.set("there", configMap("a", delivery.StageSynced))
	w.addNode("here", "a")
	certificate, err := w.a.options.Certificate.GetClientCertificate(nil)
	w.g.Expect(err).NotTo(HaveOccurred())
	path := versionPath + "/nodeinventories/there"
	w.g.Expect(w.direct(w.b, certificate, path, "kubernetes-admin", "system:masters").StatusCode).To(Equal(http.StatusOK))
	w.g.Expect(w.direct(w.b, certificate, path, "mallory").StatusCode).To(Equal(http.StatusForbidden))
	w.g.Expect(w.direct(w.b, certificate, path, "").StatusCode).To(Equal(http.StatusUnauthorized))
	w.a.sessions.set("here")
	w.g.Expect(w.direct(w.b, certificate, versionPath+"/nodeinventories/here", "kubernetes-admin", "system:masters").StatusCode).
		To(Equal(http.StatusServiceUnavailable), "it is not sent in a circle")
}

// At the address of a replica may be another one by now, or somebody else.
func TestImpostorsAreNotAsked(t *testing.T) {
	w := newWorld(t)
	w.addNode("there", "b")
	w.b.sessions.set("there", configMap("a", delivery.StageSynced))
	ask := func() (int, string) {
		response := w.direct(w.a, apiServerCertificate(t), versionPath+"/nodeinventories/there", "kubernetes-admin", "system:masters")
		body, err := io.ReadAll(response.Body)
		w.g.Expect(err).NotTo(HaveOccurred())
		return response.StatusCode, string(body)
	}
	code, _ := ask()
	w.g.Expect(code).To(Equal(http.StatusOK))

	w.move("b", w.newReplica("c").address)
	code, body := ask()
	w.g.Expect(code).To(Equal(http.StatusServiceUnavailable))
	w.g.Expect(body).To(ContainSubstring("the replica c is there instead"))

	// The hub has a certificate of the same CA, for the same name even.
	hub, err := pki.NewServingCertificate(w.authority, []string{host}, time.Hour, time.Now)
	w.g.Expect(err).NotTo(HaveOccurred())
	options := w.a.options
	options.Certificate = hub
	impostor, err := New(options)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.move("b", w.serve(impostor))
	code, body = ask()
	w.g.Expect(code).To(Equal(http.StatusServiceUnavailable))
	w.g.Expect(body).To(ContainSubstring("not the certificate of a replica"))

	w.move("b", "127.0.0.1:1")
	code, body = ask()
	w.g.Expect(code).To(Equal(http.StatusServiceUnavailable))
	w.g.Expect(body).To(ContainSubstring("the replica b, which has the session, cannot be reached"))
}
