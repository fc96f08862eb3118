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

package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

func TestJoinWritesTheIdentity(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	hub := serve(t, hubConfig(t, ca, "127.0.0.1"), signer(ca, unchanged))
	o := options(t, hub+"/", ca)

	g.Expect(Join(t.Context(), o)).To(Succeed())

	identity, err := Load(o.StateDir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(identity.Node()).To(Equal("edge-1"))
	g.Expect(identity.Hubs()).To(Equal([]string{hub}))
	g.Expect(identity.NotAfter()).To(BeTemporally("~", time.Now().Add(time.Hour), time.Minute))
	entries, err := os.ReadDir(o.StateDir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(entries).To(HaveLen(1), "one file, and no temporary one")
	g.Expect(modeOf(g, o.StateDir)).To(Equal(fs.FileMode(0o700)))
	g.Expect(modeOf(g, filepath.Join(o.StateDir, FileName))).To(Equal(fs.FileMode(0o600)))
}

func modeOf(g Gomega, path string) fs.FileMode {
	info, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	return info.Mode().Perm()
}

// TestTLSConfig shows that the identity opens the hub's door, and only that hub's.
func TestTLSConfig(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, evil := newCA(t), newCA(t)
	seen := make(chan string, 1)
	handler := http.NewServeMux()
	handler.Handle(joinapi.Path, signer(ca, unchanged))
	handler.HandleFunc("/v1/sync", func(_ http.ResponseWriter, r *http.Request) {
		node, err := pki.NodeOf(r.TLS.PeerCertificates[0])
		if err != nil {
			t.Error(err)
		}
		seen <- node.Name
	})
	o := options(t, serve(t, hubConfig(t, ca, "127.0.0.1"), handler), ca)
	g.Expect(Join(t.Context(), o)).To(Succeed())
	identity, err := Load(o.StateDir)
	g.Expect(err).NotTo(HaveOccurred())
	get := func(url string) error {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: identity.TLSConfig(), DisableKeepAlives: true}}
		response, err := client.Get(url)
		if err == nil {
			response.Body.Close()
		}
		return err
	}

	g.Expect(get(identity.Hubs()[0] + "/v1/sync")).To(Succeed())
	g.Expect(<-seen).To(Equal("edge-1"))

	imposter := serve(t, hubConfig(t, evil, "127.0.0.1"), handler)
	g.Expect(get(imposter + "/v1/sync")).To(MatchError(ContainSubstring("certificate")))
}

// Each of these must fail before anything is sent: the token stays secret.
func TestJoinDistrustsTheServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, evil := newCA(t), newCA(t)
	evilLeafBesideRealCA := func() *tls.Config {
		cert, err := evil.IssueServer([]string{"127.0.0.1"}, time.Hour, time.Now())
		g.Expect(err).NotTo(HaveOccurred())
		cert.Certificate[1] = ca.Certificate().Raw
		return &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	stolenNodeCertificate := func() *tls.Config {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		g.Expect(err).NotTo(HaveOccurred())
		cert, err := ca.IssueNode(pki.Node{Name: "127.0.0.1", UID: "uid", Join: 1}, key.Public(), time.Hour, time.Now())
		g.Expect(err).NotTo(HaveOccurred())
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, ca.Certificate().Raw}, PrivateKey: key}}}
	}
	expired := func() *tls.Config {
		cert, err := ca.IssueServer([]string{"127.0.0.1"}, time.Second, time.Now().Add(-4*time.Minute))
		g.Expect(err).NotTo(HaveOccurred())
		return &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	tls12 := hubConfig(t, ca, "127.0.0.1")
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	tests := map[string]struct {
		config *tls.Config
		err    []string
	}{
		"another CA":                  {hubConfig(t, evil, "127.0.0.1"), []string{"--ca-hash", ca.Hash(), evil.Hash()}},
		"another CA beside the real":  {evilLeafBesideRealCA(), []string{"certificate"}},
		"a node that plays the hub":   {stolenNodeCertificate(), []string{"certificate"}},
		"other host":                  {hubConfig(t, ca, "hub.example.com"), []string{`does not go by the name "127.0.0.1"`}},
		"expired, or the clock wrong": {expired(), []string{"clock of this machine"}},
		"TLS 1.2":                     {tls12, []string{"version"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var requests atomic.Int32
			hub := serve(t, test.config, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
			o := options(t, hub, ca)

			err := Join(t.Context(), o)

			for _, text := range test.err {
				g.Expect(err).To(MatchError(ContainSubstring(text)))
			}
			g.Expect(requests.Load()).To(BeZero())
			entries, err := os.ReadDir(o.StateDir)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(entries).To(BeEmpty())
		})
	}
}

// A hub that proves to be the right one may still answer nonsense.
func TestJoinChecksTheAnswer(t *testing.T) {
	t.Parallel()
	ca, evil := newCA(t), newCA(t)
	otherKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.NewRequest(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	withStatus := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	otherSigner := func(signing *pki.CA, node string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
			signer(signing, func(response *joinapi.Response) {
				if node != "" {
					*response = issue(ca, string(csr), node)
				}
				response.CA = string(ca.CertificatePEM())
			}).ServeHTTP(w, r)
		})
	}
	tests := map[string]struct {
		handler http.Handler
		err     string
	}{
		"another's key":      {otherSigner(ca, "edge-1"), "another key"},
		"signed by other CA": {otherSigner(evil, ""), "is not valid under the CAs to trust"},
		"no certificate":     {signer(ca, func(r *joinapi.Response) { r.Certificate = "" }), "no PEM certificate"},
		"broken certificate": {signer(ca, func(r *joinapi.Response) { r.Certificate = r.Certificate[:100] }), "no PEM certificate"},
		"a CA as the node's": {signer(ca, func(r *joinapi.Response) { r.Certificate = r.CA }), "not the certificate of a node"},
		"no CA":              {signer(ca, func(r *joinapi.Response) { r.CA = "" }), "no PEM certificate"},
		"other CA to trust":  {signer(ca, func(r *joinapi.Response) { r.CA = string(evil.CertificatePEM()) }), "not valid under the CAs to trust"},
		"a leaf to trust":    {signer(ca, func(r *joinapi.Response) { r.CA += r.Certificate }), "not that of a CA"},
		"a key in the CA":    {signer(ca, func(r *joinapi.Response) { r.CA += "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" }), "unexpected PEM block"},
		"token refused":      {withStatus(http.StatusUnauthorized, `{"error":"the join token was refused"}`), "manager token create"},
		"name taken":         {withStatus(http.StatusConflict, `{"error":"EdgeNode edge-1 has already joined"}`), "edge-1 has already joined"},
		"too many":           {withStatus(http.StatusTooManyRequests, `{"error":"too many failed joins"}`), "try again in 7s"},
		"not found":          {withStatus(http.StatusNotFound, "404 page not found"), "not an edgesync hub"},
		"redirect":           {http.RedirectHandler("https://example.com/", http.StatusTemporaryRedirect), "not an edgesync hub"},
		"a web page":         {withStatus(http.StatusOK, "<html>"), "not an edgesync hub"},
		"endless":            {withStatus(http.StatusOK, strings.Repeat(" ", 2*joinapi.MaxResponseBytes)), "not an edgesync hub"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			o := options(t, serve(t, hubConfig(t, ca, "127.0.0.1"), test.handler), ca)
			err := Join(t.Context(), o)
			g.Expect(err).To(MatchError(ContainSubstring(test.err)))
			_, err = Load(o.StateDir)
			g.Expect(errors.Is(err, fs.ErrNotExist)).To(BeTrue(), "%v", err)
		})
	}
}

func TestJoinCannotReachTheHub(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	g.Expect(Join(t.Context(), options(t, unreachable(t), ca))).To(MatchError(ContainSubstring("cannot reach the hub")))

	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	o := options(t, "https"+strings.TrimPrefix(plain.URL, "http"), ca)
	g.Expect(Join(t.Context(), o)).To(MatchError(ContainSubstring("not an edgesync hub")))

	// A hub that takes the request and goes away may have used the token up.
	hub := serve(t, hubConfig(t, ca, "127.0.0.1"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	g.Expect(Join(t.Context(), options(t, hub, ca))).To(MatchError(ContainSubstring("was used up")))

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(Join(canceled, options(t, hub, ca))).To(MatchError(context.Canceled))
}

func TestJoinAgain(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	o := options(t, serve(t, hubConfig(t, ca, "127.0.0.1"), signer(ca, unchanged)), ca)
	g.Expect(Join(t.Context(), o)).To(Succeed())
	o.Node = "edge-2"

	g.Expect(Join(t.Context(), o)).To(MatchError(ContainSubstring("--force")))
	g.Expect(nodeIn(g, o.StateDir)).To(Equal("edge-1"))

	o.Force = true
	g.Expect(Join(t.Context(), o)).To(Succeed())
	g.Expect(nodeIn(g, o.StateDir)).To(Equal("edge-2"))
}

func nodeIn(g Gomega, stateDir string) string {
	identity, err := Load(stateDir)
	g.Expect(err).NotTo(HaveOccurred())
	return identity.Node()
}

// Nothing that can be seen on this machine may cost a token.
func TestJoinChecksThisMachineFirst(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	var requests atomic.Int32
	hub := serve(t, hubConfig(t, ca, "127.0.0.1"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	loose, file := filepath.Join(t.TempDir(), "loose"), filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.Mkdir(loose, 0o700), os.Chmod(loose, 0o755), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*Options)
		err    string
	}{
		"no hub":           {func(o *Options) { o.Hub = "" }, "https://host:port"},
		"plain HTTP":       {func(o *Options) { o.Hub = "http://hub:8443" }, "https://host:port"},
		"a path":           {func(o *Options) { o.Hub = "https://hub:8443/v1" }, "https://host:port"},
		"a query":          {func(o *Options) { o.Hub = "https://hub:8443?x" }, "https://host:port"},
		"a password":       {func(o *Options) { o.Hub = "https://a:b@hub:8443" }, "https://host:port"},
		"no host":          {func(o *Options) { o.Hub = "https://:8443" }, "https://host:port"},
		"token":            {func(o *Options) { o.Token = "x" }, "form <id>.<secret>"},
		"no hash":          {func(o *Options) { o.CAHash = "" }, "CA hash"},
		"hash":             {func(o *Options) { o.CAHash = "sha256:abcd" }, "CA hash"},
		"node":             {func(o *Options) { o.Node = "Edge 1" }, "not a node name"},
		"loose directory":  {func(o *Options) { o.StateDir = loose }, "chmod 0700"},
		"not a directory":  {func(o *Options) { o.StateDir = file }, "state directory"},
		"below no parent":  {func(o *Options) { o.StateDir = filepath.Join(file, "x") }, "state directory"},
		"temporary in way": {func(o *Options) { mustBlock(t, o.StateDir) }, "cannot be written"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := options(t, hub, ca)
			test.change(&o)
			g.Expect(Join(t.Context(), o)).To(MatchError(ContainSubstring(test.err)))
			g.Expect(requests.Load()).To(BeZero())
		})
	}
}

// mustBlock puts a directory that is not empty where the temporary file would go.
func mustBlock(t *testing.T, stateDir string) {
	if err := os.MkdirAll(filepath.Join(stateDir, FileName+temporarySuffix, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
}
