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
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIssueServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)

	cert, err := ca.IssueServer([]string{"hub.example.com", "*.edge.example.com", "10.0.0.1", "::1"}, time.Hour, now)

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cert.Leaf.DNSNames).To(Equal([]string{"hub.example.com", "*.edge.example.com"}))
	g.Expect(cert.Leaf.IPAddresses).To(HaveLen(2))
	g.Expect(cert.Leaf.ExtKeyUsage).To(Equal([]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}))
	g.Expect(cert.Certificate).To(HaveLen(2))
	g.Expect(cert.Certificate[1]).To(Equal(ca.cert.Raw))
	for _, hosts := range [][]string{nil, {""}, {"a b"}, {"https://hub"}, {"hub:8443"}, {"*"}} {
		_, err := ca.IssueServer(hosts, time.Hour, now)
		g.Expect(err).To(HaveOccurred(), "%q", hosts)
	}
}

func TestServingCertificateRenewsItself(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	clock := &manualClock{now: now}
	ca := newCA(t)
	serving, err := NewServingCertificate(NewAuthority(ca), []string{"hub"}, 90*time.Hour, clock.Now)
	g.Expect(err).NotTo(HaveOccurred())
	serial := func() string {
		cert, err := serving.GetCertificate(nil)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(clock.Now()).To(BeTemporally("<", cert.Leaf.NotAfter))
		return cert.Leaf.SerialNumber.String()
	}
	first := serial()

	clock.advance(59 * time.Hour)
	g.Expect(serial()).To(Equal(first))
	clock.advance(time.Hour + time.Minute)
	second := serial()
	g.Expect(second).NotTo(Equal(first))
	g.Expect(serial()).To(Equal(second))

	// Past the end of the CA there is nothing left to serve with.
	clock.advance(CALifetime)
	_, err = serving.GetCertificate(nil)
	g.Expect(err).To(MatchError(ContainSubstring("CA expired")))
}

func TestNewServingCertificateRefusesHostsAtStart(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	_, err := NewServingCertificate(NewAuthority(newCA(t)), []string{"not a host"}, ServerLifetime, time.Now)
	g.Expect(err).To(MatchError(ContainSubstring("not a host")))
}

type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// handshake connects a client to a server and returns what the server knows of the
// client, or the errors of both sides.
func handshake(t testing.TB, server, client *tls.Config) (*tls.ConnectionState, error) {
	t.Helper()
	near, far := net.Pipe()
	type result struct {
		state tls.ConnectionState
		err   error
	}
	done := make(chan result)
	go func() {
		// The pipe itself is closed, because closing TLS would wait for the other side.
		defer far.Close()
		conn := tls.Server(far, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		done <- result{conn.ConnectionState(), err}
	}()
	conn := tls.Client(near, client)
	// In TLS 1.3 a client learns only by reading that it was refused.
	_, clientErr := io.ReadFull(conn, make([]byte, 1))
	near.Close()
	serverSide := <-done
	return &serverSide.state, errors.Join(serverSide.err, clientErr)
}
