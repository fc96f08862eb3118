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

// Package castore keeps the certificate authority in a Secret of the cluster.
package castore

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/pki"
)

// SecretName is the name of the Secret, of type kubernetes.io/tls, that holds the CA.
// A user who brings a CA makes this Secret before the manager starts. Losing it
// strands every node that has joined, so it belongs in the backup.
const SecretName = "edgesync-ca"

// +kubebuilder:rbac:groups="",namespace=system,resources=secrets,verbs=get;create

// Ensure loads the CA from its Secret, and makes both if there is none. When several
// callers find none at the same time, all of them return the CA of the one whose
// Create came first. A Secret that exists is used as it is and never written.
//
// It needs the rights to get and create Secrets in the namespace. The client should
// read from the API server and not from a cache.
func Ensure(ctx context.Context, c client.Client, namespace string, now time.Time) (*pki.CA, error) {
	ca, err := Load(ctx, c, namespace, now)
	if !apierrors.IsNotFound(err) {
		return ca, err
	}
	ca, err = pki.NewCA(now)
	if err != nil {
		return nil, err
	}
	secret, err := newSecret(ca, namespace)
	if err != nil {
		return nil, err
	}
	err = c.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		return Load(ctx, c, namespace, now)
	}
	if err != nil {
		return nil, fmt.Errorf("create the CA Secret %s/%s: %w", namespace, SecretName, err)
	}
	return ca, nil
}

// Load loads the CA from its Secret; apierrors.IsNotFound applies to its error if
// there is none. It needs the right to get Secrets in the namespace.
func Load(ctx context.Context, c client.Client, namespace string, now time.Time) (*pki.CA, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: namespace, Name: SecretName}
	if err := c.Get(ctx, key, secret); err != nil {
		return nil, fmt.Errorf("read the CA Secret %s: %w", key, err)
	}
	for _, field := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(secret.Data[field]) == 0 {
			return nil, fmt.Errorf("the CA Secret %s has no %s: it must hold a CA certificate and its key, or be deleted so that the manager makes one", key, field)
		}
	}
	ca, err := pki.ParseCA(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], now)
	if err != nil {
		return nil, fmt.Errorf("the CA Secret %s cannot be used: %w", key, err)
	}
	return ca, nil
}

func newSecret(ca *pki.CA, namespace string) (*corev1.Secret, error) {
	keyPEM, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      SecretName,
			Labels:    map[string]string{"app.kubernetes.io/name": "edgesync", "app.kubernetes.io/managed-by": "edgesync"},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       ca.CertificatePEM(),
			corev1.TLSPrivateKeyKey: keyPEM,
		},
	}, nil
}
