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
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestReplicaCertificate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	authority := NewAuthority(ca)
	clock := now
	certificate, err := NewReplicaCertificate(authority, "manager-0", []string{"query.edgesync-system.svc"}, func() time.Time { return clock })
	g.Expect(err).NotTo(HaveOccurred())
	first, err := certificate.GetClientCertificate(nil)
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(authority.VerifyReplica(first.Leaf, now)).To(Equal("manager-0"))
	_, err = first.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: now, DNSName: "query.edgesync-system.svc"})
	g.Expect(err).NotTo(HaveOccurred())

	clock = now.Add(ReplicaLifetime * 3 / 4)
	second, err := certificate.GetCertificate(nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second.Leaf.Equal(first.Leaf)).To(BeFalse(), "it is replaced in time")
	g.Expect(authority.VerifyReplica(second.Leaf, now.Add(ReplicaLifetime*3/2))).To(Equal("manager-0"))
	_, err = authority.VerifyReplica(first.Leaf, now.Add(ReplicaLifetime*3/2))
	g.Expect(err).To(MatchError(ContainSubstring("expired")), "unlike that of a node")
}

// Whoever holds a certificate of one kind gets nothing as the other.
func TestRolesDoNotMix(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, key := newCA(t), newKey(t)
	authority := NewAuthority(ca)
	node, err := ca.IssueNode(Node{Name: "replica", UID: "1", Join: 1}, key.Public(), time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	server, err := ca.IssueServer([]string{"hub"}, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	replica, err := ca.IssueReplica("node", []string{"hub"}, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	stranger, err := newCA(t).IssueReplica("node", []string{"hub"}, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(authority.Verify(replica.Leaf, now)).NotTo(Succeed())
	for what, cert := range map[string]*x509.Certificate{
		"a node": node, "the hub": server.Leaf, "a replica of another CA": stranger.Leaf, "the CA": ca.Certificate(),
	} {
		_, err := authority.VerifyReplica(cert, now)
		g.Expect(err).To(HaveOccurred(), what)
	}
}

func TestReplicaOf(t *testing.T) {
	t.Parallel()
	ca, key := newCA(t), newKey(t)
	for name, change := range map[string]func(*x509.Certificate){
		"the name of a node":      func(c *x509.Certificate) { c.Subject.CommonName = nodeNamePrefix + "manager-0" },
		"the group of nodes":      func(c *x509.Certificate) { c.Subject.Organization = []string{NodeOrganization} },
		"both groups":             func(c *x509.Certificate) { c.Subject.Organization = []string{ReplicaOrganization, NodeOrganization} },
		"client alone":            usages(x509.ExtKeyUsageClientAuth),
		"server alone":            usages(x509.ExtKeyUsageServerAuth),
		"no name":                 func(c *x509.Certificate) { c.Subject.CommonName = replicaNamePrefix },
		"a name that is too long": func(c *x509.Certificate) { c.Subject.CommonName = replicaNamePrefix + strings.Repeat("a", 300) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			template := &x509.Certificate{
				Subject:     pkix.Name{CommonName: replicaNamePrefix + "manager-0", Organization: []string{ReplicaOrganization}},
				ExtKeyUsage: replicaUsages,
			}
			change(template)
			cert, err := ca.issue(template, key.Public(), time.Hour, now)
			g.Expect(err).NotTo(HaveOccurred())

			_, err = ReplicaOf(cert)

			g.Expect(err).To(HaveOccurred())
		})
	}
}

func TestReplicaNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Manager", "a/b", "a b", strings.Repeat("a", 1<<20)} {
		_, err := newCA(t).IssueReplica(name, []string{"hub"}, time.Hour, now)
		NewWithT(t).Expect(err).To(HaveOccurred())
	}
}
