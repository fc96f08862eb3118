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
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/pki"
)

const (
	// earlierField and crossField hold what their names say as PEM, in the state.
	earlierField = "earlier.crt"
	crossField   = "cross.crt"
	// generationField counts the changes of the state.
	generationField = "generation"
)

// state is what the Secret StateName holds.
type state struct {
	pki.Trust
	// generation is higher after each change, so that an old state can be told from one
	// that somebody has changed.
	generation int64
}

func (s state) loaded(refused error) Loaded {
	return Loaded{Trust: s.Trust, Refused: refused, generation: s.generation}
}

// count puts the generation into the data of the state.
func (s state) count(data map[string][]byte) {
	data[generationField] = strconv.AppendInt(nil, s.generation, 10)
}

// get is the Secret, or nil if there is none.
func get(ctx context.Context, c client.Reader, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the CA Secret %s/%s: %w", namespace, name, err)
	}
	return secret, nil
}

func parseSupplied(secret *corev1.Secret, now time.Time) (*pki.CA, error) {
	for _, field := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(secret.Data[field]) == 0 {
			return nil, fmt.Errorf("the CA Secret %s/%s has no %s", secret.Namespace, secret.Name, field)
		}
	}
	ca, err := pki.ParseCA(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], now)
	if err != nil {
		return nil, fmt.Errorf("the CA Secret %s/%s cannot be used: %w", secret.Namespace, secret.Name, err)
	}
	return ca, nil
}

func parseState(secret *corev1.Secret) (state, error) {
	data := secret.Data
	trust, err := pki.ParseTrust(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey], data[earlierField], data[crossField])
	var generation int64
	if err == nil {
		generation, err = strconv.ParseInt(string(data[generationField]), 10, 64)
	}
	if err != nil {
		return state{}, fmt.Errorf("the CA Secret %s/%s cannot be used (restore it from a backup, or delete it: "+
			"then the CA of the Secret %s is all that nodes are let in with): %w", secret.Namespace, secret.Name, SecretName, err)
	}
	return state{Trust: trust, generation: generation}, nil
}

// encode is the content of a Secret. That of a CA without a past is of just the two
// fields of a kubernetes.io/tls Secret.
func encode(trust pki.Trust) (map[string][]byte, error) {
	keyPEM, err := trust.CA.KeyPEM()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{corev1.TLSCertKey: trust.CA.CertificatePEM(), corev1.TLSPrivateKeyKey: keyPEM}
	if len(trust.Earlier) > 0 {
		data[earlierField] = pki.EncodeCertificates(trust.Earlier)
	}
	if len(trust.Cross) > 0 {
		data[crossField] = pki.EncodeCertificates(trust.Cross)
	}
	return data, nil
}

func newSecret(namespace, name string, kind corev1.SecretType, trust pki.Trust) (*corev1.Secret, error) {
	data, err := encode(trust)
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      name,
			Labels:    map[string]string{"app.kubernetes.io/name": "edgesync", "app.kubernetes.io/managed-by": "edgesync"},
		},
		Type: kind,
		Data: data,
	}, nil
}
