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
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// ReplicaLifetime is how long the certificate of a replica is valid. It is made in
	// process by whoever has the CA, so that a short life costs nothing.
	ReplicaLifetime = time.Hour

	// ReplicaOrganization is the organization in the certificate of every replica.
	ReplicaOrganization = "system:edgesync:replicas"

	replicaNamePrefix = "system:edgesync:replica:"
)

var replicaUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

// IssueReplica makes a key, and signs for it the certificate of the replica of that name:
// with it a replica of the manager serves the hosts, and proves itself to the other
// replicas. Nothing that IssueNode signs can pass for one, nor the other way about.
func (c *CA) IssueReplica(name string, hosts []string, lifetime time.Duration, now time.Time) (*tls.Certificate, error) {
	if err := validateReplicaName(name); err != nil {
		return nil, err
	}
	return c.serve(&x509.Certificate{
		Subject:     pkix.Name{CommonName: replicaNamePrefix + name, Organization: []string{ReplicaOrganization}},
		ExtKeyUsage: replicaUsages,
	}, hosts, lifetime, now)
}

func validateReplicaName(name string) error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("%.253q is not the name of a replica: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

// NewReplicaCertificate is the certificate of a replica, which is replaced as that of the
// hub is. now is the clock.
func NewReplicaCertificate(authority *Authority, name string, hosts []string, now func() time.Time) (*ServingCertificate, error) {
	return newServingCertificate(authority, now, func(ca *CA, now time.Time) (*tls.Certificate, error) {
		return ca.IssueReplica(name, hosts, ReplicaLifetime, now)
	})
}

// VerifyReplica names the replica that the certificate was issued to, by the authority or
// by a CA before it that is still trusted. It is an error if it is not the certificate of
// a replica, or has expired. TLS has had the peer prove that it holds the key.
func (a *Authority) VerifyReplica(cert *x509.Certificate, now time.Time) (name string, err error) {
	if err := a.verify(cert, now, now); err != nil {
		return "", fmt.Errorf("the certificate of a replica: %w", err)
	}
	return ReplicaOf(cert)
}

// ReplicaOf names the replica that a certificate was issued to. The certificate must have
// been verified against the CA before: ReplicaOf checks only that it is one that
// IssueReplica makes.
func ReplicaOf(cert *x509.Certificate) (string, error) {
	name, ok := strings.CutPrefix(cert.Subject.CommonName, replicaNamePrefix)
	switch {
	case !ok, !slices.Equal(cert.Subject.Organization, []string{ReplicaOrganization}), cert.IsCA,
		!slices.Equal(cert.ExtKeyUsage, replicaUsages):
		return "", errors.New("it is not the certificate of a replica")
	}
	return name, validateReplicaName(name)
}
