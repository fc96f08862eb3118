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

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// afterRead does something once, right after the Secret of the CA was read.
func afterRead(below client.WithWatch, do func(client.Client, *corev1.Secret)) client.Client {
	done := false
	return interceptor.NewClient(below, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, obj, opts...)
			if err == nil && key.Name == SecretName && !done {
				done = true
				do(c, obj.(*corev1.Secret).DeepCopy())
			}
			return err
		},
	})
}

func TestReplace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		meanwhile func(*WithT, client.Client, *corev1.Secret)
		fails     string
	}{
		"nobody else": {func(*WithT, client.Client, *corev1.Secret) {}, ""},
		"somebody else changes the Secret": {func(g *WithT, c client.Client, secret *corev1.Secret) {
			secret.Labels["changed"] = "meanwhile"
			g.Expect(c.Update(context.Background(), secret)).To(Succeed())
		}, ""},
		"somebody else deletes the Secret": {func(g *WithT, c client.Client, secret *corev1.Secret) {
			g.Expect(c.Delete(context.Background(), secret)).To(Succeed())
		}, "update the CA Secret edgesync-system/edgesync-ca"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			below := fake.NewClientBuilder().Build()
			_, err := newStore(below, now).Load(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			c := afterRead(below, func(c client.Client, secret *corev1.Secret) { test.meanwhile(g, c, secret) })

			next := newCA(t)
			err = Replace(t.Context(), c, namespace, next, false, now)
			if test.fails != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.fails)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(newStore(below, now).Load(t.Context())).To(HaveField("CA.Hash()", next.Hash()))
		})
	}
}
