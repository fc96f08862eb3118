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
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// enlisting lets attackers join: most attacks are those of somebody who has broken into
// a machine that had joined.
type enlisting struct {
	// token is good for many nodes whose names begin with namePrefix.
	token string
	roots *x509.CertPool
	// names and addresses count those that were given out.
	names, addresses *atomic.Int64
}

const namePrefix = "hostile-"

// identity is what a machine gets by joining.
type identity struct {
	name        string
	certificate tls.Certificate
}

func (w *world) prepareEnlisting(t *testing.T) {
	g := NewWithT(t)
	w.enlisting = enlisting{names: &atomic.Int64{}, addresses: &atomic.Int64{}, token: w.newToken(g, "--node-prefix="+namePrefix, "--uses=1000")}
	response, err := w.join(w.newJoin(g, w.nextName()))
	g.Expect(err).NotTo(HaveOccurred())
	w.roots = x509.NewCertPool()
	g.Expect(w.roots.AppendCertsFromPEM([]byte(response.CA))).To(BeTrue())
}

// newToken makes a join token, as the administrator does.
func (w *world) newToken(g *WithT, args ...string) string {
	args = append([]string{"token", "create", "--output=json", "--namespace=" + fleet.Namespace,
		"--kubeconfig=" + w.fleet.ControlPlane().KubeconfigPath()}, args...)
	out, err := exec.CommandContext(context.Background(), w.fleet.Manager().Path, args...).Output()
	g.Expect(err).NotTo(HaveOccurred())
	var created struct{ Token string }
	g.Expect(json.Unmarshal(out, &created)).To(Succeed())
	return created.Token
}

func (w *world) nextName() string { return fmt.Sprintf("%s%d", namePrefix, w.names.Add(1)) }

// joining is a request to join, and the key that it is for.
type joining struct {
	joinapi.Request
	key crypto.Signer
}

func (w *world) newJoin(g *WithT, name string) joining {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	csr, err := pki.NewRequest(key)
	g.Expect(err).NotTo(HaveOccurred())
	return joining{joinapi.Request{Token: w.token, Node: name, CSR: string(csr)}, key}
}

// enlist joins as a new node.
func (s *siege) enlist() identity { return s.enlistAs(s.newJoin(s.g, s.nextName())) }

func (s *siege) enlistAs(j joining) identity {
	s.t.Helper()
	response, err := s.join(j)
	s.g.Expect(err).NotTo(HaveOccurred())
	block, _ := pem.Decode([]byte(response.Certificate))
	s.g.Expect(block).NotTo(BeNil())
	leaf, err := x509.ParseCertificate(block.Bytes)
	s.g.Expect(err).NotTo(HaveOccurred())
	return identity{j.Node, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: j.key, Leaf: leaf}}
}

// join sends a good request, which is no attack.
func (w *world) join(j joining) (*joinapi.Response, error) {
	response, err := w.postJSON(joinapi.Path, caller{from: home}, j.Request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	joined := &joinapi.Response{}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, answer)
	}
	if err := json.Unmarshal(answer, joined); err != nil {
		return nil, err
	}
	return joined, nil
}

// postJSON sends one request over a connection of its own. The caller closes the body.
func (w *world) postJSON(path string, as caller, body any) (*http.Response, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.fleet.HubURL()+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	return w.do(request, as)
}

// do sends a request over a connection of its own.
func (w *world) do(request *http.Request, as caller) (*http.Response, error) {
	conn, err := w.dialTLS(as)
	if err != nil {
		return nil, err
	}
	response, err := exchange(conn, request)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	response.Body = &bodyOf{response.Body, conn}
	return response, nil
}

// bodyOf closes the connection with the body.
type bodyOf struct {
	io.ReadCloser
	conn io.Closer
}

func (b *bodyOf) Close() error { return errors.Join(b.ReadCloser.Close(), b.conn.Close()) }
