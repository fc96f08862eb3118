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
	"crypto/x509"
	"slices"
	"time"
)

// Trust is a CA together with what the CAs before it have left behind. It is
// immutable and may be used concurrently.
type Trust struct {
	// CA signs.
	CA *CA
	// Earlier are the certificates of CAs that signed before and are still trusted,
	// the newest first.
	Earlier []*x509.Certificate
	// Cross are cross certificates, the newest first: each is for the key of a CA, and
	// signed by the CA before it. With them, who trusts an earlier CA can verify what CA signs.
	Cross []*x509.Certificate
}

// NewTrust is that in a CA without a past.
func NewTrust(ca *CA) Trust { return Trust{CA: ca} }

// Anchors are the CA certificates to trust, the one that signs first.
func (t Trust) Anchors() []*x509.Certificate {
	return append([]*x509.Certificate{t.CA.cert}, t.Earlier...)
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
