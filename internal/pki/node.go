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
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// NodeLifetime is how long the certificate of a node is valid by default.
	NodeLifetime = 90 * 24 * time.Hour

	// NodeOrganization is the organization in the certificate of every node.
	NodeOrganization = "system:edgesync:nodes"

	nodeNamePrefix = "system:edgesync:node:"
)

// uidPattern bounds what may be the uid of an EdgeNode. The API server makes UUIDs.
var uidPattern = regexp.MustCompile(`^[A-Za-z0-9.:-]{1,64}$`)

// Node is whom the certificate of a node was issued to.
type Node struct {
	// Name is that of the EdgeNode.
	Name string
	// UID is that of the EdgeNode: one that was deleted and made anew is another node,
	// and the certificates of the former are not its own.
	UID string
	// Join counts the times that a machine has joined as this EdgeNode, from 1: one
	// that takes the place of another leaves it behind with a lower number.
	Join int64
}

// serialNumber is how uid and join stand in the subject of a certificate.
func (n Node) serialNumber() string { return n.UID + "/" + strconv.FormatInt(n.Join, 10) }

func (n Node) validate() error {
	if err := ValidateNodeName(n.Name); err != nil {
		return err
	}
	if !uidPattern.MatchString(n.UID) || n.Join < 1 {
		return errors.New("the uid or the join of the node is missing")
	}
	return nil
}

// ValidateNodeName accepts DNS-1123 subdomains of at most 253 characters, as the
// names of Kubernetes nodes are.
func ValidateNodeName(name string) error {
	// The length is checked first, so that the message cannot repeat a huge name.
	if len(name) > validation.DNS1123SubdomainMaxLength {
		return fmt.Errorf("a node name has at most %d characters, not %d", validation.DNS1123SubdomainMaxLength, len(name))
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("%q is not a node name: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

// NodeOf is the node that a certificate was issued to. The certificate must have been
// verified against the CA before: NodeOf checks only that it is one that IssueNode makes.
func NodeOf(cert *x509.Certificate) (Node, error) {
	name, ok := strings.CutPrefix(cert.Subject.CommonName, nodeNamePrefix)
	switch {
	case !ok:
		return Node{}, fmt.Errorf("the common name does not begin with %q", nodeNamePrefix)
	case !slices.Equal(cert.Subject.Organization, []string{NodeOrganization}):
		return Node{}, fmt.Errorf("the organization is not %q", NodeOrganization)
	case cert.IsCA:
		return Node{}, errors.New("it is a CA certificate")
	case !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}):
		return Node{}, errors.New("the extended key usage is not client authentication alone")
	}
	uid, join, _ := strings.Cut(cert.Subject.SerialNumber, "/")
	count, err := strconv.ParseInt(join, 10, 64)
	if err != nil {
		return Node{}, errors.New("the serial number of the subject is not a uid and a join")
	}
	node := Node{Name: name, UID: uid, Join: count}
	if err := node.validate(); err != nil {
		return Node{}, err
	}
	return node, nil
}

// IssueNode signs the client certificate of a node. The caller has decided that
// whoever holds the private key to public may be that node.
func (c *CA) IssueNode(node Node, public crypto.PublicKey, lifetime time.Duration, now time.Time) (*x509.Certificate, error) {
	if err := node.validate(); err != nil {
		return nil, err
	}
	if err := checkNodeKey(public); err != nil {
		return nil, err
	}
	cert, err := c.issue(&x509.Certificate{
		Subject: pkix.Name{
			CommonName: nodeNamePrefix + node.Name, Organization: []string{NodeOrganization}, SerialNumber: node.serialNumber(),
		},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, public, lifetime, now)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of node %s: %w", node.Name, err)
	}
	return cert, nil
}

// NewRequest is a PEM certificate request that carries the public key and proves
// possession of the private one, and says nothing else.
func NewRequest(key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("create the certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificateRequest, Bytes: der}), nil
}

// RequestKey is the public key of a PEM certificate request, once the request's
// signature has proven that the sender holds the private key. The rest of the request
// is not looked at. ECDSA P-256 and Ed25519 keys are accepted.
func RequestKey(requestPEM []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(requestPEM)
	if block == nil || block.Type != pemCertificateRequest {
		return nil, fmt.Errorf("no PEM block of type %s", pemCertificateRequest)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse the certificate request: %w", err)
	}
	// Before the signature, because checking one of a huge RSA key is expensive.
	if err := checkNodeKey(request.PublicKey); err != nil {
		return nil, err
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed by its own key: %w", err)
	}
	return request.PublicKey, nil
}

func checkNodeKey(public crypto.PublicKey) error {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	}
	return errors.New("the key of a node must be ECDSA P-256 or Ed25519")
}
