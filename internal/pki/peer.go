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
	"fmt"
	"time"
)

// Peer is the node at the other end of a connection.
type Peer struct {
	Node
	// Certificate is the one that it has proven to hold the key of.
	Certificate *x509.Certificate
}

// Expired tells whether the certificate of the peer is no longer good for anything but
// its renewal.
func (p Peer) Expired(now time.Time) bool { return now.After(p.Certificate.NotAfter) }

// PeerOf is the node at the other end of a connection. It is an error if it presented
// no certificate. The connection must have been accepted with a configuration of
// ServerTLSConfig: that has verified the certificate, and PeerOf does not do so again.
//
// The certificate may have expired, however long ago: whoever serves the peer must
// look at Peer.Expired, and refuse it anything but a renewal.
func PeerOf(state *tls.ConnectionState) (Peer, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Peer{}, errors.New("a client certificate is needed: join the node first")
	}
	cert := state.PeerCertificates[0]
	node, err := NodeOf(cert)
	return Peer{Node: node, Certificate: cert}, err
}

// Verify tells whether the certificate is one that the authority, or a CA before it
// that is still trusted, has issued to a node. That it has expired is no error, so that
// the node can be told so, and can renew it.
func (a *Authority) Verify(cert *x509.Certificate, now time.Time) error {
	trust := a.trust.Load()
	if a.vouched.knows(cert, trust, now) {
		return nil
	}
	if err := a.verify(cert, earliest(now, cert.NotAfter), now); err != nil {
		return fmt.Errorf("the client certificate: %w", err)
	}
	if _, err := NodeOf(cert); err != nil {
		return fmt.Errorf("the client certificate is not that of a node: %w", err)
	}
	a.vouched.add(cert, trust, now)
	return nil
}
