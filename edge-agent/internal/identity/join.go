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
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// Options say whom to join as what.
type Options struct {
	// Hub is the address of the hub, as https://host:port.
	Hub string
	// Token is a join token.
	Token string
	// CAHash pins the hub's CA: pki.HashOf it.
	CAHash string
	// Node is the name of the node.
	Node string
	// StateDir is where the identity goes; it is made with mode 0700 if missing.
	StateDir string
	// Force replaces an identity that is there already.
	Force bool
}

// Join makes a key, has the hub certify it, and writes the identity file. Nothing is
// sent before the hub has proven that it belongs to the pinned CA, and the private key
// never leaves the machine. Before the token is used up, all that can be checked on
// this machine has been, and the file can be written.
func Join(ctx context.Context, options Options) error {
	hub, err := options.check()
	if err != nil {
		return err
	}
	path := filepath.Join(options.StateDir, FileName)
	file, err := openTarget(path, options.Force)
	if err != nil {
		return err
	}
	defer file.discard()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate the key: %w", err)
	}
	request, err := pki.NewRequest(key)
	if err != nil {
		return err
	}
	answer, err := exchange(ctx, hub, options.CAHash, joinapi.Request{
		Token: options.Token, Node: options.Node, CSR: string(request),
	})
	if err != nil {
		return err
	}
	identity, err := accept(answer, hub, key, options.Node, time.Now())
	if err != nil {
		return fmt.Errorf("the hub at %s answered with an identity that cannot be right: %w", hub.Host, err)
	}
	data, err := identity.encode()
	if err != nil {
		return err
	}
	if err := file.commit(data); err != nil {
		return fmt.Errorf("write the identity to %s (the token is used up now: make a new one): %w", path, err)
	}
	return nil
}

func (o *Options) check() (*url.URL, error) {
	hub, err := joinapi.ParseHub(o.Hub)
	if err != nil {
		return nil, err
	}
	if _, _, err := joinapi.ParseToken(o.Token); err != nil {
		return nil, err
	}
	if err := pki.ValidateHash(o.CAHash); err != nil {
		return nil, err
	}
	return hub, pki.ValidateNodeName(o.Node)
}

func openTarget(path string, force bool) (*replacement, error) {
	dir := filepath.Dir(path)
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	switch _, err := os.Lstat(path); {
	case err == nil && !force:
		return nil, fmt.Errorf("this machine has joined already (%s exists): to replace its identity, use --force", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("look for an identity: %w", err)
	}
	file, err := newReplacement(path)
	if err != nil {
		return nil, fmt.Errorf("the state directory %s cannot be written: %w", dir, err)
	}
	return file, nil
}

// accept checks what the hub issued: a certificate for this key and this node, from
// the pinned CA, and a bundle that holds this CA.
func accept(answer *answer, hub *url.URL, key *ecdsa.PrivateKey, node string, now time.Time) (*Identity, error) {
	certs, err := parseCertificates(answer.Certificate)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	cas, err := parseCertificates(answer.CA)
	if err != nil {
		return nil, fmt.Errorf("the CA: %w", err)
	}
	identity, err := newIdentity(hub, key, certs[0], cas)
	if err != nil {
		return nil, err
	}
	if identity.Node() != node {
		return nil, fmt.Errorf("the certificate is for node %q instead of %q", identity.Node(), node)
	}
	roots := x509.NewCertPool()
	roots.AddCert(answer.pinnedCA)
	_, err = certs[0].Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("the certificate does not come from the pinned CA: %w", err)
	}
	for _, ca := range cas {
		if bytes.Equal(ca.Raw, answer.pinnedCA.Raw) {
			return identity, nil
		}
	}
	return nil, errors.New("the pinned CA is not among those to trust")
}

func parseCertificates(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCertificate {
			return nil, fmt.Errorf("unexpected PEM block %s", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no PEM certificate")
	}
	return certs, nil
}
