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
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/edgesync/edgesync/internal/pki"
)

const namespace = "edgesync-system"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newStore(c client.Client, at time.Time) *Store {
	return &Store{Client: c, Namespace: namespace, Hosts: []string{"hub"}, Now: func() time.Time { return at }}
}

func newCA(t testing.TB) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// suppliedCA is a CA as a user might make it, changed by change.
func suppliedCA(t testing.TB, key *ecdsa.PrivateKey, change func(*x509.Certificate)) *pki.CA {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corporate"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := pki.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.ParseCA(pki.EncodeCertificate(cert), keyPEM, template.NotBefore)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func asItIs(*x509.Certificate) {}

func ends(at time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotAfter = at }
}

func pathLength0(c *x509.Certificate) { c.MaxPathLenZero = true }

// cluster is a client of an API server with an installation that uses the CA.
func cluster(t testing.TB, ca *pki.CA) client.WithWatch {
	t.Helper()
	c := fake.NewClientBuilder().Build()
	supply(t, c, ca)
	_, err := newStore(c, ca.Certificate().NotBefore).Load(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

// supply puts the CA into the Secret, which is made if there is none.
func supply(t testing.TB, c client.Client, ca *pki.CA) {
	t.Helper()
	data, err := encode(pki.Trust{CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	supplyData(t, c, data)
}

func supplyData(t testing.TB, c client.Client, data map[string][]byte) {
	t.Helper()
	g := NewWithT(t)
	secret := read(t, c, SecretName)
	if secret == nil {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: SecretName}, Data: data}
		g.Expect(c.Create(t.Context(), secret)).To(Succeed())
		return
	}
	secret.Data = data
	g.Expect(c.Update(t.Context(), secret)).To(Succeed())
}

func read(t testing.TB, c client.Client, name string) *corev1.Secret {
	t.Helper()
	secret, err := get(t.Context(), c, namespace, name)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return secret
}

func remove(t testing.TB, c client.Client, names ...string) {
	t.Helper()
	for _, name := range names {
		NewWithT(t).Expect(c.Delete(t.Context(), read(t, c, name))).To(Succeed())
	}
}

// expectState expects the state to be just this.
func expectState(t testing.TB, c client.Client, trust pki.Trust) {
	t.Helper()
	g := NewWithT(t)
	stored, err := parseState(read(t, c, StateName))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored.Equal(trust)).To(BeTrue())
}

// simultaneous lets the first writes of that kind happen only when all callers have come
// as far, so that all of them have read the same before.
func simultaneous(c client.WithWatch, callers int) client.Client {
	var mu sync.Mutex
	arrived, all := 0, make(chan struct{})
	wait := func() {
		mu.Lock()
		if arrived++; arrived == callers {
			close(all)
		}
		mu.Unlock()
		<-all
	}
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			wait()
			return c.Create(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			wait()
			return c.Update(ctx, obj, opts...)
		},
	})
}

// loadAll has as many replicas load at the same time, and returns what all of them got.
func loadAll(t testing.TB, c client.WithWatch, replicas int) pki.Trust {
	t.Helper()
	g := NewWithT(t)
	together := simultaneous(c, replicas)
	results := make([]Loaded, replicas)
	errs := make([]error, replicas)
	var done sync.WaitGroup
	for i := range replicas {
		done.Go(func() { results[i], errs[i] = newStore(together, now).Load(context.Background()) })
	}
	done.Wait()
	for i := range replicas {
		g.Expect(errs[i]).NotTo(HaveOccurred())
		g.Expect(results[i].Refused).NotTo(HaveOccurred())
		g.Expect(results[i].Equal(results[0].Trust)).To(BeTrue())
	}
	return results[0].Trust
}
