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

package agent

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const (
	day      = 24 * time.Hour
	lifetime = 90 * day
)

// hub joins and renews nodes by the clock of the test. It is one of a real TLS listener.
type hub struct {
	t     testing.TB
	ca    *pki.CA
	url   string
	clock *clock

	mu sync.Mutex
	// answers are what the next renewals get; after the last all succeed.
	answers []http.HandlerFunc
	renewed []time.Time
}

func newHub(t testing.TB, c *clock) *hub {
	t.Helper()
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	serving, err := pki.NewServingCertificate(pki.NewAuthority(ca), []string{"127.0.0.1"}, pki.CALifetime, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", pki.ServerTLSConfig(serving))
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{t: t, ca: ca, url: "https://" + listener.Addr().String(), clock: c}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+joinapi.Path, h.join)
	mux.HandleFunc("POST "+joinapi.RenewPath, h.renew)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }() // returns ErrServerClosed
	t.Cleanup(func() { server.Close() })
	return h
}

func (h *hub) join(w http.ResponseWriter, r *http.Request) {
	var request joinapi.Request
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		h.t.Error(err)
	}
	h.issue(w, request.CSR, pki.Node{Name: request.Node, UID: "uid", Join: 1})
}

func (h *hub) renew(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.answers) > 0 {
		answer := h.answers[0]
		h.answers = h.answers[1:]
		answer(w, r)
		return
	}
	var request joinapi.RenewRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		h.t.Error(err)
	}
	peer, err := pki.PeerOf(r.TLS)
	if err != nil {
		h.t.Error(err)
	}
	h.renewed = append(h.renewed, h.clock.Now())
	h.issue(w, request.CSR, peer.Node)
}

func (h *hub) issue(w http.ResponseWriter, csr string, node pki.Node) {
	key, err := pki.RequestKey([]byte(csr))
	if err != nil {
		h.t.Error(err)
		return
	}
	cert, err := h.ca.IssueNode(node, key, lifetime, h.clock.Now())
	if err != nil {
		h.t.Error(err)
		return
	}
	_ = json.NewEncoder(w).Encode(joinapi.Response{
		Certificate: string(pki.EncodeCertificate(cert)), CA: string(h.ca.CertificatePEM()),
	})
}

// answer makes these the answers to the next renewals.
func (h *hub) answer(answers ...http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers = answers
}

func (h *hub) renewals() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]time.Time(nil), h.renewed...)
}

// node is a state directory that has joined the hub.
func (h *hub) node() (stateDir string) {
	h.t.Helper()
	stateDir = filepath.Join(h.t.TempDir(), "state")
	h.joinAgain(stateDir, "edge-1")
	return stateDir
}

func (h *hub) joinAgain(stateDir, node string) {
	h.t.Helper()
	err := identity.Join(h.t.Context(), identity.Options{
		Hub: h.url, Token: "abcd1234." + strings.Repeat("a", 52), CAHash: h.ca.Hash(), Node: node, StateDir: stateDir, Force: true,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func says(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(joinapi.Error{Error: message})
	}
}

// clock is what the machine and the hub take for the time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

// newClock begins with the time that it is, as certificates are checked by.
func newClock() *clock { return &clock{now: time.Now().Round(0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
