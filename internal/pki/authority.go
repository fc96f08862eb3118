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
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// Authority is what the hub issues certificates with, and what nodes are to trust. It
// may be used concurrently.
type Authority struct {
	ca *CA
}

// NewAuthority is the authority of one CA.
func NewAuthority(ca *CA) *Authority { return &Authority{ca: ca} }

// IssueNode signs the client certificate of a node, as CA.IssueNode does.
func (a *Authority) IssueNode(node Node, public crypto.PublicKey, lifetime time.Duration, now time.Time) (*x509.Certificate, error) {
	return a.ca.IssueNode(node, public, lifetime, now)
}

// Anchors are the CA certificates that nodes are to trust, the one that signs first.
func (a *Authority) Anchors() []*x509.Certificate { return []*x509.Certificate{a.ca.cert} }

// AnchorsPEM are the Anchors as PEM.
func (a *Authority) AnchorsPEM() []byte {
	var bundle []byte
	for _, anchor := range a.Anchors() {
		bundle = append(bundle, EncodeCertificate(anchor)...)
	}
	return bundle
}

// Peer is the node at the other end of a connection.
type Peer struct {
	Node
	// Certificate is the one that it has proven to hold the key of.
	Certificate *x509.Certificate
}

// Expired tells whether the certificate of the peer is no longer good for anything but
// its renewal.
func (p Peer) Expired(now time.Time) bool { return now.After(p.Certificate.NotAfter) }

// PeerOf is the node at the other end of a connection that was made with a
// configuration of ServerTLSConfig. It is an error if it presented no certificate of a node.
func PeerOf(state *tls.ConnectionState) (Peer, error) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return Peer{}, errors.New("a client certificate is needed: join the node first")
	}
	cert := state.VerifiedChains[0][0]
	node, err := NodeOf(cert)
	return Peer{Node: node, Certificate: cert}, err
}
