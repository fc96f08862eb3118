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
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// What was good once is asked about again without being verified again, and only for as long
// as nothing has changed.
func TestWhatIsVouchedFor(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	old, ca := newCA(t), newCA(t)
	trust, err := Trust{CA: old}.Succeed(ca, hubHosts, now)
	g.Expect(err).NotTo(HaveOccurred())
	authority := NewAuthority(ca)
	authority.Set(trust)
	cert, err := x509.ParseCertificate(nodeOf(t, old, time.Hour, now).Certificate[0])
	g.Expect(err).NotTo(HaveOccurred())
	knows := func(at time.Time) bool { return authority.vouched.knows(cert, authority.trust.Load(), at) }

	g.Expect(knows(now)).To(BeFalse())
	g.Expect(authority.Verify(cert, now)).To(Succeed())
	g.Expect(knows(now)).To(BeTrue())
	g.Expect(knows(old.cert.NotAfter.Add(time.Second))).To(BeFalse(), "its CA has expired meanwhile")
	g.Expect(authority.Verify(cert, old.cert.NotAfter.Add(time.Second))).NotTo(Succeed())

	g.Expect(authority.Verify(cert, now)).To(Succeed())
	authority.Set(Trust{CA: ca})
	g.Expect(knows(now)).To(BeFalse())
	g.Expect(authority.Verify(cert, now)).NotTo(Succeed(), "its CA is trusted no longer")
	g.Expect(knows(now)).To(BeFalse(), "failures are not remembered")

	authority.Set(trust)
	for range 2 * maxVouched {
		another := *cert
		g.Expect(authority.Verify(&another, now)).To(Succeed())
		g.Expect(len(authority.vouched.certs)).To(BeNumerically("<=", maxVouched))
	}
}
