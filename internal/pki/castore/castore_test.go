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
	"crypto"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
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

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key = client.ObjectKey{Namespace: namespace, Name: SecretName}
)

func TestEnsureMakesTheCAOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := fake.NewFakeClient()

	first, err := Ensure(t.Context(), c, namespace, now)
	g.Expect(err).NotTo(HaveOccurred())
	second, err := Ensure(t.Context(), c, namespace, now.Add(time.Hour))
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(second.Certificate().Raw).To(Equal(first.Certificate().Raw))
	secret := &corev1.Secret{}
	g.Expect(c.Get(t.Context(), key, secret)).To(Succeed())
	g.Expect(secret.Type).To(Equal(corev1.SecretTypeTLS))
	_, err = second.IssueNode(pki.Node{Name: "edge-1", UID: "uid", Join: 1}, first.Certificate().PublicKey, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred(), "the key was loaded as well")
}

// Every caller finds no Secret before any of them creates one.
func TestEnsureRace(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const callers = 8
	var looked sync.WaitGroup
	looked.Add(callers)
	var creates atomic.Int32
	c := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if creates.Add(1) <= callers {
				looked.Done()
				looked.Wait()
			}
			return c.Create(ctx, obj, opts...)
		},
	})
	hashes := make(chan string, callers)
	for range callers {
		go func() {
			ca, err := Ensure(context.Background(), c, namespace, now)
			if err != nil {
				hashes <- err.Error()
				return
			}
			hashes <- ca.Hash()
		}()
	}
	stored, seen := "", 0
	for hash := range hashes {
		if seen == 0 {
			stored = hash
		}
		g.Expect(hash).To(Equal(stored))
		if seen++; seen == callers {
			break
		}
	}
	ca, err := Ensure(t.Context(), c, namespace, now)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ca.Hash()).To(Equal(stored))
}

func TestEnsureWithASecretOfTheUser(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	supplied, err := pki.NewCA(now)
	g.Expect(err).NotTo(HaveOccurred())
	keyPEM, err := supplied.KeyPEM()
	g.Expect(err).NotTo(HaveOccurred())
	leaf, err := supplied.IssueServer([]string{"hub"}, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred())
	good := map[string][]byte{"tls.crt": supplied.CertificatePEM(), "tls.key": keyPEM}

	tests := map[string]struct {
		data map[string][]byte
		at   time.Time
		err  string // empty: accepted
	}{
		"good":           {good, now, ""},
		"no key":         {map[string][]byte{"tls.crt": good["tls.crt"]}, now, "has no tls.key"},
		"no certificate": {map[string][]byte{"tls.key": keyPEM}, now, "has no tls.crt"},
		"garbage":        {map[string][]byte{"tls.crt": []byte("x"), "tls.key": keyPEM}, now, "cannot be used"},
		"not a CA":       {map[string][]byte{"tls.crt": pki.EncodeCertificate(leaf.Leaf), "tls.key": encodeKey(g, leaf)}, now, "not a CA"},
		"expired":        {good, now.Add(2 * pki.CALifetime), "expired at"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: SecretName}, Data: test.data}
			c := fake.NewFakeClient(secret.DeepCopy())
			ca, err := Ensure(t.Context(), c, namespace, test.at)
			if test.err == "" {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(ca.Hash()).To(Equal(supplied.Hash()))
			} else {
				g.Expect(err).To(MatchError(And(ContainSubstring(test.err), ContainSubstring("edgesync-system/edgesync-ca"))))
			}
			after := &corev1.Secret{}
			g.Expect(c.Get(t.Context(), key, after)).To(Succeed())
			g.Expect(after.Data).To(Equal(test.data), "it is never written")
		})
	}
}

func TestEnsureReportsTheAPIServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	broken := errors.New("no route to host")
	c := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return broken },
	})
	_, err := Ensure(t.Context(), c, namespace, now)
	g.Expect(err).To(MatchError(broken))
}

func encodeKey(g Gomega, cert *tls.Certificate) []byte {
	keyPEM, err := pki.EncodeKey(cert.PrivateKey.(crypto.Signer))
	g.Expect(err).NotTo(HaveOccurred())
	return keyPEM
}
