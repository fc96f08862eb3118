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
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// StrandedError says that nodes which know no other CA than one of these could not
// verify the hub any longer.
type StrandedError struct {
	Anchors []*x509.Certificate
	Reason  error
}

// Error implements error.
func (e *StrandedError) Error() string {
	return fmt.Sprintf("nodes that know only the CA %s could not verify the hub any longer: %v", strings.Join(hashes(e.Anchors), " or "), e.Reason)
}

// Unwrap is the reason.
func (e *StrandedError) Unwrap() error { return e.Reason }

// Succeed is the trust in next after t. The CA of t is trusted further, and signs a
// cross certificate for next; after that its key is not needed. A next that has the
// key and the name of the CA of t merely renews its certificate. hosts are what the hub
// goes by, for the name constraints that a CA may have; they may be left out.
//
// If nodes that can verify the hub now could not do so any longer, the error is a
// *StrandedError, and the trust beside it is the best there is for all others.
func (t Trust) Succeed(next *CA, hosts []string, now time.Time) (Trust, error) {
	leaf, err := next.issueServer(hosts, time.Hour, now)
	if err != nil {
		return Trust{}, err
	}
	result := Trust{CA: next, Earlier: t.Earlier, Cross: t.Cross}
	if !sameCA(t.CA.cert, next.cert) {
		isNext := func(cert *x509.Certificate) bool { return sameCA(cert, next.cert) }
		result.Earlier = slices.DeleteFunc(t.Anchors(), isNext)
		if result.Cross, err = t.crossSign(next.cert); err != nil {
			return Trust{}, err
		}
	}
	result = result.At(now)
	if len(result.Earlier) >= MaxAnchors {
		result.Earlier = result.Earlier[:MaxAnchors-1]
		result = result.At(now)
	}
	if err := t.loss(result, leaf.Leaf, hosts, now); err != nil {
		return result, err
	}
	return result, nil
}

// crossSign are the cross certificates of t, and one more for next.
func (t Trust) crossSign(next *x509.Certificate) ([]*x509.Certificate, error) {
	cross, err := t.CA.crossSign(next)
	if err != nil {
		return nil, err
	}
	// After a way back and forth there may be one already.
	others := slices.DeleteFunc(slices.Clone(t.Cross), func(c *x509.Certificate) bool {
		return sameCA(c, next) && hasSigned(t.CA.cert, c)
	})
	return append([]*x509.Certificate{cross}, others...), nil
}

// crossSign signs a certificate with the subject and the key of another CA.
func (c *CA) crossSign(other *x509.Certificate) (*x509.Certificate, error) {
	cross, err := create(&x509.Certificate{
		RawSubject:   other.RawSubject,
		SubjectKeyId: other.SubjectKeyId,
		// Not left to the library, which takes it for self-signed when both have one name.
		AuthorityKeyId:        c.cert.SubjectKeyId,
		NotBefore:             latest(c.cert.NotBefore, other.NotBefore),
		NotAfter:              earliest(c.cert.NotAfter, other.NotAfter),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, c.cert, other.PublicKey, c.key)
	if err != nil {
		return nil, fmt.Errorf("cross-sign the CA %q: %w", other.Subject, err)
	}
	return cross, nil
}

// loss is a *StrandedError if some can verify the hub with t, but not with next, under
// whose CA the leaf is.
func (t Trust) loss(next Trust, leaf *x509.Certificate, hosts []string, now time.Time) error {
	current, err := t.CA.issueServer(hosts, time.Hour, now)
	if err != nil {
		return nil // nobody can verify what cannot be signed
	}
	lost := &StrandedError{}
	for _, anchor := range t.At(now).Anchors() {
		if t.verify(anchor, current.Leaf, now) != nil {
			continue
		}
		err := next.verify(anchor, leaf, now)
		if err == nil {
			continue
		}
		if !slices.ContainsFunc(next.Anchors(), func(c *x509.Certificate) bool { return sameCA(c, anchor) }) {
			err = fmt.Errorf("no more than %d CAs are trusted at a time", MaxAnchors)
		}
		lost.Anchors = append(lost.Anchors, anchor)
		lost.Reason = err
	}
	if lost.Reason == nil {
		return nil
	}
	return lost
}

// verify tells whether the leaf of a server is good for somebody who trusts this
// anchor alone, and is shown the cross certificates.
func (t Trust) verify(anchor, leaf *x509.Certificate, now time.Time) error {
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         poolOf(anchor),
		Intermediates: poolOf(t.Cross...),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// Without is t without the earlier CA that has this hash, and without those before it
// that vouch for it by a cross certificate: whoever trusts these trusts it as well.
// All these are returned. The CA that signs cannot be removed, nor one that it vouches for.
func (t Trust) Without(hash string) (rest Trust, removed []*x509.Certificate, err error) {
	if !slices.Contains(hashes(t.Anchors()), hash) {
		return Trust{}, nil, fmt.Errorf("no CA with the hash %s is trusted, only %s", hash, strings.Join(hashes(t.Anchors()), ", "))
	}
	distrusted := map[string]bool{hash: true}
	for range t.Anchors() { // each round reaches one CA further back, if there is one
		for _, cross := range t.Cross {
			for _, anchor := range t.Anchors() {
				if distrusted[HashOf(cross)] && hasSigned(anchor, cross) {
					distrusted[HashOf(anchor)] = true
				}
			}
		}
	}
	if distrusted[t.CA.Hash()] {
		return Trust{}, nil, errors.New("the CA that signs, or one that it has vouched for, cannot be removed: make a new one first")
	}
	isDistrusted := func(cert *x509.Certificate) bool { return distrusted[HashOf(cert)] }
	rest = Trust{CA: t.CA}
	for _, anchor := range t.Earlier {
		if isDistrusted(anchor) {
			removed = append(removed, anchor)
		} else {
			rest.Earlier = append(rest.Earlier, anchor)
		}
	}
	for _, cross := range t.Cross {
		byRemoved := slices.ContainsFunc(removed, func(anchor *x509.Certificate) bool { return hasSigned(anchor, cross) })
		if !isDistrusted(cross) && !byRemoved {
			rest.Cross = append(rest.Cross, cross)
		}
	}
	return rest, removed, nil
}

func hashes(cas []*x509.Certificate) []string {
	result := make([]string, 0, len(cas))
	for _, ca := range cas {
		result = append(result, HashOf(ca))
	}
	return result
}
