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

// Package identity is who the machine is: the key and certificate of its node, the
// CAs that it trusts and the addresses of its hub, all in one file of the state
// directory. Join obtains them from the hub for a token, Renew for the present
// certificate; a Keeper keeps them while an agent runs.
package identity

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Identity is immutable and may be used concurrently.
type Identity struct {
	// joined is the address that the machine has joined with, announced are those that
	// the hub has named since.
	joined    *url.URL
	announced []*url.URL
	node      pki.Node
	cert      *x509.Certificate
	cas       []*x509.Certificate // at least one
	// Either of both: sealed is the key as it is in the file until it is unsealed.
	key    crypto.Signer
	sealed []byte
}

// check tells whether the parts of an identity belong together, and sets the node.
func (i *Identity) check() error {
	var err error
	if i.node, err = pki.NodeOf(i.cert); err != nil {
		return fmt.Errorf("not the certificate of a node: %w", err)
	}
	if i.key != nil && !sameKey(i.cert.PublicKey, i.key.Public()) {
		return errors.New("the certificate belongs to another key")
	}
	return checkCAs(i.cas)
}

func checkCAs(cas []*x509.Certificate) error {
	if len(cas) == 0 {
		return errors.New("there is no CA certificate")
	}
	for _, ca := range cas {
		if !ca.IsCA {
			return fmt.Errorf("the certificate %q is not that of a CA", ca.Subject)
		}
	}
	return nil
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// Node is the name of the node, which stands in its certificate.
func (i *Identity) Node() string { return i.node.Name }

// Hubs are the addresses of the hub, as https://host:port, the preferred first: those
// that the hub has announced, and the one that the machine has joined with as the last
// resort. There is at least one, and none twice.
func (i *Identity) Hubs() []string {
	var hubs []string
	for _, hub := range append(slices.Clip(i.announced), i.joined) {
		if address := hub.String(); !slices.Contains(hubs, address) {
			hubs = append(hubs, address)
		}
	}
	return hubs
}

// NotBefore is when the certificate of the node becomes valid.
func (i *Identity) NotBefore() time.Time { return i.cert.NotBefore }

// NotAfter is when the certificate of the node expires.
func (i *Identity) NotAfter() time.Time { return i.cert.NotAfter }

// FromEarlierCA tells whether the certificate comes from another CA than the one that
// signs now, which the hub names first.
func (i *Identity) FromEarlierCA() bool { return i.cert.CheckSignatureFrom(i.cas[0]) != nil }

// SameCertificate tells whether both present the same certificate.
func (i *Identity) SameCertificate(other *Identity) bool { return i.cert.Equal(other.cert) }

// Sealed tells whether the private key is sealed, so that TLSConfig has none to present.
func (i *Identity) Sealed() bool { return i.key == nil }

// HubInfo is what the identity knows of the hub, as the hub would announce it.
func (i *Identity) HubInfo() *pb.HubInfo {
	info := &pb.HubInfo{}
	for _, hub := range i.announced {
		info.Addresses = append(info.Addresses, hub.String())
	}
	for _, ca := range i.cas {
		info.Authorities = append(info.Authorities, ca.Raw)
	}
	return info
}

// HubInfoDigest tells the hub whether it has anything new to announce.
func (i *Identity) HubInfoDigest() object.Digest { return protocol.HubInfoDigest(i.HubInfo()) }

// TLSConfig is for connections to the hub: it presents the node's certificate and
// trusts the CAs of the identity alone. The caller may change what it returns.
func (i *Identity) TLSConfig() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: poolOf(i.cas)}
	if i.key != nil {
		config.Certificates = []tls.Certificate{{
			Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key, Leaf: i.cert,
		}}
	}
	return config
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}
