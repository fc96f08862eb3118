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
// CA that it trusts and the hub that it belongs to, all in one file of the state
// directory. Join obtains them from the hub for a token.
package identity

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const (
	blockHub         = "EDGESYNC HUB"
	blockKey         = "PRIVATE KEY"
	blockCertificate = "CERTIFICATE"

	headerURL = "URL"
)

// Identity is immutable and may be used concurrently.
type Identity struct {
	hub  *url.URL
	node pki.Node
	pair tls.Certificate     // with Leaf
	cas  []*x509.Certificate // at least one
}

func newIdentity(hub *url.URL, key crypto.Signer, cert *x509.Certificate, cas []*x509.Certificate) (*Identity, error) {
	node, err := pki.NodeOf(cert)
	if err != nil {
		return nil, fmt.Errorf("not the certificate of a node: %w", err)
	}
	if !sameKey(cert.PublicKey, key.Public()) {
		return nil, errors.New("the certificate belongs to another key")
	}
	if len(cas) == 0 {
		return nil, errors.New("there is no CA certificate")
	}
	for _, ca := range cas {
		if !ca.IsCA {
			return nil, fmt.Errorf("the certificate %q is not that of a CA", ca.Subject)
		}
	}
	return &Identity{
		hub:  hub,
		node: node,
		pair: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
		cas:  cas,
	}, nil
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// Node is the name of the node, which stands in its certificate.
func (i *Identity) Node() string { return i.node.Name }

// Hub is the address of the hub, as https://host:port.
func (i *Identity) Hub() string { return i.hub.String() }

// NotAfter is when the certificate of the node expires.
func (i *Identity) NotAfter() time.Time { return i.pair.Leaf.NotAfter }

// TLSConfig is for connections to the hub: it presents the node's certificate and
// trusts the CA of the identity alone. The caller may change what it returns.
func (i *Identity) TLSConfig() *tls.Config {
	roots := x509.NewCertPool()
	for _, ca := range i.cas {
		roots.AddCert(ca)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{i.pair},
		RootCAs:      roots,
	}
}

// encode is the content of the identity file: PEM blocks, so that the usual tools can
// read it. The first certificate is the node's, the others are CAs.
func (i *Identity) encode() ([]byte, error) {
	key, err := pki.EncodeKey(i.pair.PrivateKey.(crypto.Signer))
	if err != nil {
		return nil, err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: blockHub, Headers: map[string]string{headerURL: i.Hub()}})
	data = append(data, key...)
	data = append(data, pki.EncodeCertificate(i.pair.Leaf)...)
	for _, ca := range i.cas {
		data = append(data, pki.EncodeCertificate(ca)...)
	}
	return data, nil
}

// parse reads what encode writes. Blocks of other types are left for later versions.
func parse(data []byte) (*Identity, error) {
	var hub *url.URL
	var key crypto.Signer
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		var err error
		switch block.Type {
		case blockHub:
			hub, err = joinapi.ParseHub(block.Headers[headerURL])
		case blockKey:
			key, err = parseKey(block.Bytes)
		case blockCertificate:
			var cert *x509.Certificate
			cert, err = x509.ParseCertificate(block.Bytes)
			certs = append(certs, cert)
		}
		if err != nil {
			return nil, fmt.Errorf("PEM block %s: %w", block.Type, err)
		}
	}
	if hub == nil || key == nil || len(certs) == 0 {
		return nil, errors.New("the hub's address, the private key or the certificate is missing")
	}
	return newIdentity(hub, key, certs[0], certs[1:])
}

func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}
