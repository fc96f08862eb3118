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
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var someToken = "abcd1234." + strings.Repeat("a", 52)

// newCA is a CA that has been there for a day.
func newCA(t testing.TB) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(time.Now().Add(-24 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// serve answers on a real TLS listener on 127.0.0.1 and returns the address as
// https://127.0.0.1:port.
func serve(t testing.TB, config *tls.Config, handler http.Handler) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }() // returns ErrServerClosed
	t.Cleanup(func() { server.Close() })
	return "https://" + listener.Addr().String()
}

// hubConfig is the TLS configuration of a hub that goes by the hosts.
func hubConfig(t testing.TB, ca *pki.CA, hosts ...string) *tls.Config {
	t.Helper()
	certificate, err := pki.NewServingCertificate(pki.NewAuthority(ca), hosts, time.Hour, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return pki.ServerTLSConfig(certificate)
}

// signer issues whatever is asked for, changed by change: a hub without tokens.
func signer(ca *pki.CA, change func(*joinapi.Response)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request joinapi.Request
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			panic(err)
		}
		response := issue(ca, request.CSR, request.Node)
		change(&response)
		_ = json.NewEncoder(w).Encode(response)
	})
}

func issue(ca *pki.CA, csr, node string) joinapi.Response {
	return issueFor(ca, csr, pki.Node{Name: node, UID: "uid", Join: 1}, time.Hour, time.Now())
}

func issueFor(ca *pki.CA, csr string, node pki.Node, lifetime time.Duration, now time.Time) joinapi.Response {
	key, err := pki.RequestKey([]byte(csr))
	if err != nil {
		panic(err)
	}
	cert, err := ca.IssueNode(node, key, lifetime, now)
	if err != nil {
		panic(err)
	}
	return joinapi.Response{Certificate: string(pki.EncodeCertificate(cert)), CA: string(ca.CertificatePEM())}
}

// serverChain is what a hub of the CA presents.
func serverChain(t testing.TB, ca *pki.CA) []*x509.Certificate {
	t.Helper()
	server, err := ca.IssueServer([]string{"127.0.0.1"}, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{server.Leaf, ca.Certificate()}
}

// someSealKey differs for each fill.
func someSealKey(t testing.TB, fill byte) *SealKey {
	t.Helper()
	key, err := NewSealKey(bytes.Repeat([]byte{fill}, minSecretBytes))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func unchanged(*joinapi.Response) {}

func options(t testing.TB, hub string, ca *pki.CA) Options {
	return Options{Hub: hub, Token: someToken, CAHash: ca.Hash(), Node: "edge-1", StateDir: filepath.Join(t.TempDir(), "state")}
}

// unreachable is an address of this machine that nobody listens on, nor can while the
// test runs: it is bound.
func unreachable(t testing.TB) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("https://127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}
