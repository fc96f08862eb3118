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
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxAnchors is how many CAs are trusted at a time, the one that signs included. Each
// costs about a kilobyte in every handshake.
const MaxAnchors = 4

// Trust is a CA together with what the CAs before it have left behind. It is
// immutable and may be used concurrently.
type Trust struct {
	// CA signs.
	CA *CA
	// Earlier are the certificates of CAs that signed before and are still trusted,
	// the newest first.
	Earlier []*x509.Certificate
	// Cross are cross certificates, the newest first: each is for the key of a CA, and
	// signed by one before it. With them, who trusts an earlier CA can verify what CA
	// signs.
	Cross []*x509.Certificate
}

// ParseTrust loads a Trust from PEM, with no regard to the time: what has expired is
// still there. earlierPEM and crossPEM may be empty.
func ParseTrust(certPEM, keyPEM, earlierPEM, crossPEM []byte) (Trust, error) {
	ca, err := parseCA(certPEM, keyPEM)
	if err != nil {
		return Trust{}, err
	}
	earlier, err := parseCACertificates(earlierPEM, MaxAnchors-1)
	if err != nil {
		return Trust{}, fmt.Errorf("the earlier CAs: %w", err)
	}
	cross, err := parseCACertificates(crossPEM, MaxAnchors*(MaxAnchors-1))
	if err != nil {
		return Trust{}, fmt.Errorf("the cross certificates: %w", err)
	}
	return Trust{CA: ca, Earlier: earlier, Cross: cross}, nil
}

func parseCACertificates(bundle []byte, most int) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for len(bytes.TrimSpace(bundle)) > 0 {
		block, rest := pem.Decode(bundle)
		if block == nil || block.Type != pemCertificate {
			return nil, errors.New("not a list of PEM certificates")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return nil, err
		case !cert.BasicConstraintsValid || !cert.IsCA:
			return nil, fmt.Errorf("certificate %q is not that of a CA", cert.Subject)
		case len(certs) == most:
			return nil, fmt.Errorf("more than %d certificates", most)
		}
		certs, bundle = append(certs, cert), rest
	}
	return certs, nil
}

// Anchors are the CA certificates to trust, the one that signs first.
func (t Trust) Anchors() []*x509.Certificate {
	return append([]*x509.Certificate{t.CA.cert}, t.Earlier...)
}

// At is t without the earlier CAs that have expired, and without the cross
// certificates that have, or whose signer is not trusted any longer.
func (t Trust) At(now time.Time) Trust {
	expired := func(cert *x509.Certificate) bool { return now.After(cert.NotAfter) }
	t.Earlier = slices.DeleteFunc(slices.Clone(t.Earlier), expired)
	anchors := t.Anchors()
	t.Cross = slices.DeleteFunc(slices.Clone(t.Cross), func(cross *x509.Certificate) bool {
		return expired(cross) || !slices.ContainsFunc(anchors, func(anchor *x509.Certificate) bool { return hasSigned(anchor, cross) })
	})
	return t
}

// Equal tells whether both hold the same certificates in the same order.
func (t Trust) Equal(other Trust) bool {
	return slices.EqualFunc(t.Anchors(), other.Anchors(), (*x509.Certificate).Equal) &&
		slices.EqualFunc(t.Cross, other.Cross, (*x509.Certificate).Equal)
}

// pool holds the anchors that are valid now. That it looks at the time matters: the
// certificate of a peer may be verified for a time in the past.
func (t Trust) pool(now time.Time) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, anchor := range t.Anchors() {
		if !now.After(anchor.NotAfter) {
			pool.AddCert(anchor)
		}
	}
	return pool
}

// chain is what a server presents: its leaf, the cross certificates, and the anchors.
// TLS needs no anchors, but an agent that joins knows nothing but the hash of one.
func (t Trust) chain(leaf []byte) [][]byte {
	chain := [][]byte{leaf}
	for _, cert := range slices.Concat(t.Cross, t.Anchors()) {
		chain = append(chain, cert.Raw)
	}
	return chain
}

func poolOf(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}

func hasSigned(anchor, cert *x509.Certificate) bool { return cert.CheckSignatureFrom(anchor) == nil }

// sameCA tells whether what one has issued counts as issued by the other as well.
func sameCA(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo) && bytes.Equal(a.RawSubject, b.RawSubject)
}
