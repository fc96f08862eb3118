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
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const hashPrefix = "sha256:"

// HashOf is the pin of a CA certificate: "sha256:" and the hexadecimal SHA-256 of its
// subject public key info, as kubeadm writes it. It stays the same when the
// certificate is renewed with the same key.
func HashOf(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return hashPrefix + hex.EncodeToString(sum[:])
}

// ValidateHash tells whether hash has the form that HashOf returns.
func ValidateHash(hash string) error {
	digits, ok := strings.CutPrefix(hash, hashPrefix)
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size || digits != strings.ToLower(digits) {
		return fmt.Errorf("a CA hash is %q and %d lower-case hexadecimal digits", hashPrefix, 2*sha256.Size)
	}
	return nil
}

// PinError says that no CA certificate that a server presented has the pinned hash.
type PinError struct {
	// Want is the pinned hash. Got are the hashes of the CA certificates presented.
	Want string
	Got  []string
}

// Error implements error.
func (e *PinError) Error() string {
	got := "no CA certificate"
	if len(e.Got) > 0 {
		got = "a CA with the hash " + strings.Join(e.Got, ", ")
	}
	return fmt.Sprintf("the server presented %s, but the pinned hash is %s", got, e.Want)
}

// VerifyPinned checks the chain that a server presented, leaf first, against a pinned
// CA hash: one of the certificates must be a CA with that hash, and the leaf must be
// valid under it now, for server authentication, and for the host (a DNS name or an
// IP address). It returns that CA. The error is a *PinError if the CA is another one.
func VerifyPinned(chain []*x509.Certificate, hash, host string, now time.Time) (*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("the server presented no certificate")
	}
	if host == "" { // Verify would then skip the check of the host
		return nil, errors.New("there is no host name to check the certificate of the server against")
	}
	ca, err := findPinned(chain[1:], hash)
	if err != nil {
		return nil, err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca)
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		DNSName:       host,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("the certificate of the server: %w", err)
	}
	return ca, nil
}

func findPinned(certs []*x509.Certificate, hash string) (*x509.Certificate, error) {
	mismatch := &PinError{Want: hash}
	// From the end, where the anchors are: a cross certificate has the hash of one, too.
	for _, cert := range slices.Backward(certs) {
		if !cert.IsCA {
			continue
		}
		got := HashOf(cert)
		if got == hash {
			return cert, nil
		}
		if !slices.Contains(mismatch.Got, got) {
			mismatch.Got = append(mismatch.Got, got)
		}
	}
	return nil, mismatch
}
