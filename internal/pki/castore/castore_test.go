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
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/edgesync/edgesync/internal/pki"
)

func TestTheFirstLoadMakesTheCA(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := fake.NewClientBuilder().Build()

	first, err := newStore(c, now).Load(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	second, err := newStore(c, now.Add(time.Hour)).Load(t.Context())
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(second.Equal(first.Trust)).To(BeTrue())
	g.Expect(second.Anchors()).To(HaveLen(1))
	g.Expect(read(t, c, SecretName).Type).To(Equal(corev1.SecretTypeTLS))
	expectState(t, c, first.Trust)
	_, err = second.CA.IssueNode(pki.Node{Name: "edge-1", UID: "uid", Join: 1}, first.CA.Certificate().PublicKey, time.Hour, now)
	g.Expect(err).NotTo(HaveOccurred(), "the key was loaded as well")
	g.Expect(Load(t.Context(), c, namespace, now)).To(HaveField("Hash()", first.CA.Hash()))
}

// In each case every replica has read the same when the first of them writes.
func TestReplicasEndWithTheSameCA(t *testing.T) {
	t.Parallel()
	const replicas = 8
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		c := fake.NewClientBuilder().Build()
		expectState(t, c, loadAll(t, c, replicas))
	})
	t.Run("supplied", func(t *testing.T) {
		t.Parallel()
		c, ca := fake.NewClientBuilder().Build(), newCA(t)
		supply(t, c, ca)
		trust := loadAll(t, c, replicas)
		NewWithT(t).Expect(trust.Equal(pki.Trust{CA: ca})).To(BeTrue())
		expectState(t, c, trust)
	})
	t.Run("rollover", func(t *testing.T) {
		t.Parallel()
		g := NewWithT(t)
		former, next := newCA(t), newCA(t)
		c := cluster(t, former)
		supply(t, c, next)
		trust := loadAll(t, c, replicas)
		g.Expect(trust.CA.Hash()).To(Equal(next.Hash()))
		g.Expect(trust.Earlier).To(HaveLen(1))
		g.Expect(trust.Cross).To(HaveLen(1), "one of them has made it, and all have this one")
		expectState(t, c, trust)
	})
	t.Run("restored", func(t *testing.T) {
		t.Parallel()
		ca := newCA(t)
		c := cluster(t, ca)
		remove(t, c, SecretName)
		NewWithT(t).Expect(loadAll(t, c, replicas).Equal(pki.Trust{CA: ca})).To(BeTrue())
	})
}

// What a replica has read first may be older than what it reads then. That must not
// look like a change back.
func TestNoWayBackFromAStaleRead(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	former, next := newCA(t), newCA(t)
	inner := cluster(t, former)
	overtaken := false
	c := interceptor.NewClient(inner, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, obj, opts...)
			if !overtaken {
				overtaken = true
				supply(t, inner, next)
				_, other := newStore(inner, now).Load(t.Context())
				g.Expect(other).NotTo(HaveOccurred())
			}
			return err
		},
	})

	loaded, err := newStore(c, now).Load(t.Context())

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(overtaken).To(BeTrue())
	g.Expect(loaded.CA.Hash()).To(Equal(next.Hash()))
	g.Expect(loaded.Cross).To(HaveLen(1))
	expectState(t, inner, loaded.Trust)
}
