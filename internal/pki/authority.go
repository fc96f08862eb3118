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
	"crypto"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"
)

// Authority is what the hub issues certificates with, and what nodes are to trust. Its
// Trust is replaced while it is in use. It may be used concurrently.
type Authority struct {
	trust atomic.Pointer[Trust]
	// stranger holds a token when somebody has shown a certificate of a CA that is not known.
	stranger chan struct{}
	// vouched are certificates that Verify has found good.
	vouched vouched
}

// NewAuthority is the authority of one CA, without a past.
func NewAuthority(ca *CA) *Authority {
	a := &Authority{stranger: make(chan struct{}, 1)}
	a.Set(Trust{CA: ca})
	return a
}

// Set replaces what the authority works with, at once and for all its users.
func (a *Authority) Set(trust Trust) { a.trust.Store(&trust) }

// Trust is what the authority works with at the moment.
func (a *Authority) Trust() Trust { return *a.trust.Load() }

// Stranger gets a token when the certificate of a peer turns out to be of an unknown CA: it
// may be one that others know of already. Anybody can cause that.
func (a *Authority) Stranger() <-chan struct{} { return a.stranger }

// verify tells whether a CA that is trusted now has issued the certificate. An issuer is an
// anchor itself: there is nothing in between, and intermediates that a peer presents are
// not looked at.
func (a *Authority) verify(cert *x509.Certificate, at, now time.Time) error {
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: a.Pool(now), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		select {
		case a.stranger <- struct{}{}:
		default:
		}
	}
	return err
}

// IssueNode signs the client certificate of a node, as CA.IssueNode does.
func (a *Authority) IssueNode(node Node, public crypto.PublicKey, lifetime time.Duration, now time.Time) (*x509.Certificate, error) {
	return a.Trust().CA.IssueNode(node, public, lifetime, now)
}

// Anchors are the CA certificates that nodes are to trust, the one that signs first.
func (a *Authority) Anchors() []*x509.Certificate { return a.Trust().Anchors() }

// AnchorsPEM are the Anchors as PEM.
func (a *Authority) AnchorsPEM() []byte { return EncodeCertificates(a.Anchors()) }

// Pool holds the Anchors that are valid now.
func (a *Authority) Pool(now time.Time) *x509.CertPool { return a.Trust().pool(now) }
