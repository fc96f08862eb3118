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
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// accept checks what the hub has issued: a certificate of a node for this key, valid
// now under the CAs to trust from now on; and that by these the hub itself is one to
// trust, so that the next connection cannot fail for it. Where the hub is, is left for
// the caller to set.
func accept(answer *answer, key crypto.Signer, now time.Time) (*Identity, error) {
	certs, err := parseCertificates(answer.Certificate)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	cas, err := parseCertificates(answer.CA)
	if err != nil {
		return nil, fmt.Errorf("the CA: %w", err)
	}
	identity := &Identity{cert: certs[0], cas: cas, key: key}
	if err := identity.check(); err != nil {
		return nil, err
	}
	_, err = identity.cert.Verify(x509.VerifyOptions{
		Roots:       poolOf(cas),
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("the certificate is not valid under the CAs to trust: %w", err)
	}
	if err := vouch(cas, answer.chain, now); err != nil {
		return nil, err
	}
	return identity, nil
}

// vouch tells whether the hub that has presented the chain, leaf first, is one to trust
// by the CAs. That it goes by its name has been seen before.
func vouch(cas, chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the hub presented no certificate")
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         poolOf(cas),
		Intermediates: poolOf(chain[1:]),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("by the CAs to trust from now on, this hub is none to trust: %w", err)
	}
	return nil
}

func parseCertificates(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCertificate {
			return nil, fmt.Errorf("unexpected PEM block %q", block.Type)
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
