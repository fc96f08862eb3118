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
	"sync"
	"time"
)

// maxVouched bounds how many certificates are remembered: those of the connections that
// open at a time, of which each is asked about three times.
const maxVouched = 512

// vouched are certificates that have been verified, so that this is not done anew each time
// that somebody asks whether it still holds, be they expired: Verify does not mind. It remembers success only, and only for as long as
// the same anchors are trusted. The zero value knows of none.
type vouched struct {
	mu    sync.Mutex
	trust *Trust
	until time.Time
	certs map[*x509.Certificate]struct{}
}

// knows reports whether the certificate, as it was parsed, was verified under the same trust.
func (v *vouched) knows(cert *x509.Certificate, trust *Trust, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.certs[cert]
	return ok && v.trust == trust && !now.After(v.until)
}

func (v *vouched) add(cert *x509.Certificate, trust *Trust, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.certs == nil || v.trust != trust || now.After(v.until) || len(v.certs) >= maxVouched {
		v.certs, v.trust, v.until = map[*x509.Certificate]struct{}{}, trust, trust.unchangedUntil(now)
	}
	v.certs[cert] = struct{}{}
}

// unchangedUntil is when the next of the anchors expires that are valid now.
func (t *Trust) unchangedUntil(now time.Time) time.Time {
	until := t.CA.cert.NotAfter
	for _, anchor := range t.Earlier {
		if !now.After(anchor.NotAfter) {
			until = earliest(until, anchor.NotAfter)
		}
	}
	return until
}
