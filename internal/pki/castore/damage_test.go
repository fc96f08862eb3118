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
	"encoding/pem"
	"errors"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/edgesync/edgesync/internal/pki"
)

func TestSecretsAreDeleted(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"the CA":    {SecretName},
		"the state": {StateName},
		"both":      {SecretName, StateName},
	}
	for name, deleted := range tests {
		t.Run(name+" while the manager runs", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			c := cluster(t, newCA(t))
			supply(t, c, newCA(t))
			store := newStore(c, now)
			before, err := store.Load(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(before.Anchors()).To(HaveLen(2))
			remove(t, c, deleted...)

			after, err := store.Load(t.Context())

			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(after.Refused).NotTo(HaveOccurred())
			g.Expect(after.Equal(before.Trust)).To(BeTrue())
			expectState(t, c, before.Trust)
			g.Expect(read(t, c, SecretName).Data["tls.crt"]).To(Equal(before.CA.CertificatePEM()))
		})
	}
	t.Run("the CA while no manager runs", func(t *testing.T) {
		t.Parallel()
		g := NewWithT(t)
		ca := newCA(t)
		c := cluster(t, ca)
		remove(t, c, SecretName)
		loaded, err := newStore(c, now).Load(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(loaded.Equal(pki.Trust{CA: ca})).To(BeTrue())
	})
	t.Run("a CA that has expired", func(t *testing.T) {
		t.Parallel()
		g := NewWithT(t)
		expired := suppliedCA(t, newKey(t), ends(now.Add(-time.Minute)))
		c := cluster(t, expired)
		remove(t, c, SecretName)
		loaded, err := newStore(c, now).Load(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(loaded.CA.Hash()).NotTo(Equal(expired.Hash()), "there is nothing in restoring it")
		g.Expect(loaded.CA.ValidAt(now)).To(Succeed())
		expectState(t, c, loaded.Trust)
	})
}

// An old backup that is restored while the manager runs must not lock out the nodes that
// have a certificate of a CA that came later.
func TestTheStateGoesBack(t *testing.T) {
	t.Parallel()
	for name, restored := range map[string][]string{
		"the state": {StateName},
		"both":      {StateName, SecretName},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			c := cluster(t, newCA(t))
			backup := map[string]map[string][]byte{}
			for _, name := range restored {
				backup[name] = read(t, c, name).Data
			}
			later := newCA(t)
			supply(t, c, later)
			store := newStore(c, now)
			before, err := store.Load(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			for name, data := range backup {
				secret := read(t, c, name)
				secret.Data = data
				g.Expect(c.Update(t.Context(), secret)).To(Succeed())
			}

			after, err := store.Load(t.Context())

			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(after.Refused).NotTo(HaveOccurred())
			expectState(t, c, after.Trust)
			var trusted []string
			for _, anchor := range after.Anchors() {
				trusted = append(trusted, pki.HashOf(anchor))
			}
			g.Expect(trusted).To(ConsistOf(later.Hash(), pki.HashOf(before.Earlier[0])))
			if len(restored) == 1 {
				g.Expect(after.Equal(before.Trust)).To(BeTrue())
			}
		})
	}
}

// Another replica may still know what an administrator has untrusted meanwhile.
func TestUntrustIsNotTakenForAnOldState(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	former := newCA(t)
	c := cluster(t, former)
	slow := newStore(c, now)
	_, err := slow.Load(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	supply(t, c, newCA(t))
	_, err = newStore(c, now).Load(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(Untrust(t.Context(), c, namespace, former.Hash(), now)).To(HaveLen(1))

	loaded, err := slow.Load(t.Context())

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(loaded.Anchors()).To(HaveLen(1))
	g.Expect(loaded.CA.Hash()).NotTo(Equal(former.Hash()))
}

func TestTheStateIsBroken(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	c := cluster(t, ca)
	state := read(t, c, StateName)
	state.Data["earlier.crt"] = []byte("x")
	g.Expect(c.Update(t.Context(), state)).To(Succeed())

	_, err := newStore(c, now).Load(t.Context())
	g.Expect(err).To(MatchError(And(ContainSubstring("edgesync-system/edgesync-ca-state"), ContainSubstring("restore it from a backup, or delete it"))))

	remove(t, c, StateName)
	loaded, err := newStore(c, now).Load(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(loaded.CA.Hash()).To(Equal(ca.Hash()))
}

func TestTheAPIServerFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("no route to host")
	tests := map[string]interceptor.Funcs{
		"get": {Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return broken
		}},
		"create": {Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return broken }},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newStore(interceptor.NewClient(fake.NewClientBuilder().Build(), fault), now).Load(t.Context())
			NewWithT(t).Expect(err).To(MatchError(broken))
		})
	}
	t.Run("update", func(t *testing.T) {
		t.Parallel()
		g := NewWithT(t)
		former := newCA(t)
		c := cluster(t, former)
		supply(t, c, newCA(t))
		fault := interceptor.Funcs{Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error { return broken }}
		_, err := newStore(interceptor.NewClient(c, fault), now).Load(t.Context())
		g.Expect(err).To(MatchError(broken), "nothing is used that is not stored")
		expectState(t, c, pki.Trust{CA: former})
	})
}

// Whatever is wrong with a Secret, what it says about that shows nothing of a key.
func TestErrorsDoNotShowTheKey(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	keyPEM, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(keyPEM)
	cut := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes[:len(block.Bytes)-7]})
	crt := ca.CertificatePEM()
	tests := map[string]map[string][]byte{
		"swapped":           {"tls.crt": keyPEM, "tls.key": crt},
		"both the key":      {"tls.crt": keyPEM, "tls.key": keyPEM},
		"of another":        {"tls.crt": newCA(t).CertificatePEM(), "tls.key": keyPEM},
		"cut":               {"tls.crt": crt, "tls.key": cut},
		"no PEM":            {"tls.crt": crt, "tls.key": block.Bytes},
		"no frame":          {"tls.crt": crt, "tls.key": keyPEM[28:]},
		"as the type":       {"tls.crt": crt, "tls.key": []byte("-----BEGIN x-----\n-----END x-----\n")},
		"among the CAs":     {"tls.crt": crt, "tls.key": keyPEM, "earlier.crt": keyPEM},
		"among the crosses": {"tls.crt": crt, "tls.key": keyPEM, "cross.crt": slices.Concat(crt, keyPEM)},
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			secret := &corev1.Secret{Data: data}
			_, suppliedErr := parseSupplied(secret, now)
			_, stateErr := parseState(secret)
			g.Expect(errors.Join(suppliedErr, stateErr)).To(HaveOccurred())
			for _, err := range []error{suppliedErr, stateErr} {
				if err != nil {
					g.Expect(err.Error()).NotTo(ContainSubstring(secretOf(t, ca)[:8]))
					g.Expect(err.Error()).NotTo(ContainSubstring(string(block.Bytes[36:44])))
				}
			}
		})
	}
}
