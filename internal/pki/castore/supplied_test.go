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

package castore

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/edgesync/edgesync/internal/pki"
)

func TestAnotherCAIsSupplied(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	leafPEM, leafKeyPEM := leafOf(t, newCA(t))
	next := newCA(t)
	data := func(ca *pki.CA) map[string][]byte {
		result, err := encode(pki.Trust{CA: ca})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	withCACrt := data(next) // as cert-manager writes it
	withCACrt["ca.crt"] = next.CertificatePEM()
	hourly := suppliedCA(t, key, ends(now.Add(time.Hour)))
	later := now.Add(2 * time.Hour)

	tests := map[string]struct {
		former  *pki.CA
		supply  map[string][]byte
		accept  string // annotation
		at      time.Time
		refused string // empty: it is used
		anchors int
	}{
		"the same":                         {former: next, supply: data(next), anchors: 1},
		"another":                          {former: newCA(t), supply: data(next), anchors: 2},
		"of cert-manager":                  {former: newCA(t), supply: withCACrt, anchors: 2},
		"renewed with the same key":        {former: hourly, supply: data(suppliedCA(t, key, asItIs)), anchors: 1},
		"no key":                           {former: newCA(t), supply: map[string][]byte{"tls.crt": next.CertificatePEM()}, refused: "has no tls.key"},
		"no certificate":                   {former: newCA(t), supply: map[string][]byte{"tls.key": data(next)["tls.key"]}, refused: "has no tls.crt"},
		"nothing":                          {former: newCA(t), refused: "has no tls.crt"},
		"garbage":                          {former: newCA(t), supply: map[string][]byte{"tls.crt": []byte("x"), "tls.key": data(next)["tls.key"]}, refused: "cannot be used"},
		"not a CA":                         {former: newCA(t), supply: map[string][]byte{"tls.crt": leafPEM, "tls.key": leafKeyPEM}, refused: "not a CA"},
		"expired":                          {former: newCA(t), supply: data(hourly), at: later, refused: "expired at"},
		"the former cannot sign it":        {former: suppliedCA(t, key, pathLength0), supply: data(next), refused: "path length"},
		"that is accepted":                 {former: suppliedCA(t, key, pathLength0), supply: data(next), accept: next.Hash(), anchors: 2},
		"another was accepted":             {former: suppliedCA(t, key, pathLength0), supply: data(next), accept: newCA(t).Hash(), refused: AcceptStranding + "=" + next.Hash()},
		"the former expired":               {former: hourly, supply: data(next), at: later, anchors: 1},
		"broken, and the former expired":   {former: hourly, at: later, refused: "has no tls.crt"},
		"accepted although it is a leaf":   {former: newCA(t), supply: map[string][]byte{"tls.crt": leafPEM, "tls.key": leafKeyPEM}, accept: "true", refused: "not a CA"},
		"accepted although nobody suffers": {former: newCA(t), supply: data(next), accept: next.Hash(), anchors: 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			c := cluster(t, test.former)
			supplyData(t, c, test.supply)
			secret := read(t, c, SecretName)
			secret.Annotations = map[string]string{AcceptStranding: test.accept}
			g.Expect(c.Update(t.Context(), secret)).To(Succeed())
			at := test.at
			if at.IsZero() {
				at = now
			}

			loaded, err := newStore(c, at).Load(t.Context())

			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(read(t, c, SecretName).Data).To(Equal(secret.Data), "it is never written")
			if test.refused != "" {
				g.Expect(loaded.Refused).To(MatchError(And(ContainSubstring(test.refused), ContainSubstring("edgesync-system/edgesync-ca"))))
				g.Expect(loaded.CA.Hash()).To(Equal(test.former.Hash()))
				expectState(t, c, pki.Trust{CA: test.former})
				return
			}
			g.Expect(loaded.Refused).NotTo(HaveOccurred())
			g.Expect(loaded.CA.CertificatePEM()).To(Equal(test.supply["tls.crt"]))
			g.Expect(loaded.Anchors()).To(HaveLen(test.anchors))
			expectState(t, c, loaded.Trust)
		})
	}
}

// A key that has been succeeded could sign whatever nodes still trust.
func TestTheFormerKeyIsNotKept(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	former := newCA(t)
	c := cluster(t, former)
	secret := secretOf(t, former)
	g.Expect(string(read(t, c, StateName).Data["tls.key"])).To(ContainSubstring(secret), "to be succeeded it is needed")
	supply(t, c, newCA(t))

	_, err := newStore(c, now).Load(t.Context())

	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{SecretName, StateName} {
		for field, value := range read(t, c, name).Data {
			g.Expect(string(value)).NotTo(ContainSubstring(secret), "%s %s", name, field)
		}
	}
}

// secretOf is a part of the private key as it stands in PEM.
func secretOf(t testing.TB, ca *pki.CA) string {
	t.Helper()
	keyPEM, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	// The first line of a P-256 key in PKCS #8 holds the private scalar, behind 36 bytes.
	return strings.Split(string(keyPEM), "\n")[1][49:]
}

func TestTheFirstCAThatIsSupplied(t *testing.T) {
	t.Parallel()
	leafPEM, leafKeyPEM := leafOf(t, newCA(t))
	good := newCA(t)
	keyPEM, err := good.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		data map[string][]byte
		at   time.Time
		err  string
	}{
		"no key":         {map[string][]byte{"tls.crt": good.CertificatePEM()}, now, "has no tls.key"},
		"no certificate": {map[string][]byte{"tls.key": keyPEM}, now, "has no tls.crt"},
		"garbage":        {map[string][]byte{"tls.crt": []byte("x"), "tls.key": keyPEM}, now, "cannot be used"},
		"not a CA":       {map[string][]byte{"tls.crt": leafPEM, "tls.key": leafKeyPEM}, now, "not a CA"},
		"expired":        {map[string][]byte{"tls.crt": good.CertificatePEM(), "tls.key": keyPEM}, now.Add(2 * pki.CALifetime), "expired at"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			c := fake.NewClientBuilder().Build()
			supplyData(t, c, test.data)

			_, err := newStore(c, test.at).Load(t.Context())

			g.Expect(err).To(MatchError(And(ContainSubstring(test.err), ContainSubstring("edgesync-system/edgesync-ca"), ContainSubstring("or be deleted"))))
			g.Expect(read(t, c, SecretName).Data).To(Equal(test.data), "it is never written")
			g.Expect(read(t, c, StateName)).To(BeNil())
		})
	}
}

func leafOf(t testing.TB, ca *pki.CA) (certPEM, keyPEM []byte) {
	t.Helper()
	key := newKey(t)
	cert, err := ca.IssueNode(pki.Node{Name: "edge-1", UID: "uid", Join: 1}, key.Public(), time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err = pki.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pki.EncodeCertificate(cert), keyPEM
}
