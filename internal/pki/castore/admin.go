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
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/pki"
)

// certificateName is the annotation by which cert-manager marks what it keeps.
const certificateName = "cert-manager.io/certificate-name"

// Status is what the Secrets of the CA say.
type Status struct {
	// Trust is the CA in use and what belongs to it.
	pki.Trust
	// Supplied is the CA of the Secret SecretName, and Problem why that cannot be used.
	Supplied *pki.CA
	Problem  error
	// CertManager is the name of the Certificate by which cert-manager keeps the Secret;
	// empty if it does not.
	CertManager string

	secret     *corev1.Secret // SecretName; nil if there is none
	stored     *corev1.Secret // the state
	generation int64
}

// Read is the state of the CA; it changes nothing. If there is no CA yet,
// apierrors.IsNotFound applies to the error. It needs the right to get Secrets.
func Read(ctx context.Context, c client.Reader, namespace string, now time.Time) (*Status, error) {
	stored, err := get(ctx, c, namespace, StateName)
	if err != nil {
		return nil, err
	}
	status := &Status{stored: stored}
	supplied, err := get(ctx, c, namespace, SecretName)
	switch {
	case err != nil:
		return nil, err
	case stored == nil && supplied == nil:
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), SecretName)
	case supplied == nil:
		status.Problem = fmt.Errorf("the CA Secret %s/%s is missing: the manager restores it", namespace, SecretName)
	default:
		status.secret = supplied
		status.CertManager = supplied.Annotations[certificateName]
		status.Supplied, status.Problem = parseSupplied(supplied, now)
	}
	if stored == nil {
		if status.Problem != nil {
			return nil, status.Problem
		}
		status.Trust = pki.Trust{CA: status.Supplied}
		return status, nil
	}
	current, err := parseState(stored)
	if err != nil {
		return nil, err
	}
	status.Trust, status.generation = current.At(now), current.generation
	return status, nil
}

// Load is the CA in use; it changes nothing. If there is none yet, apierrors.IsNotFound
// applies to the error. It needs the right to get Secrets.
func Load(ctx context.Context, c client.Reader, namespace string, now time.Time) (*pki.CA, error) {
	status, err := Read(ctx, c, namespace, now)
	if err != nil {
		return nil, err
	}
	return status.CA, nil
}

// Replace puts another CA into the Secret SecretName, to which the managers then change
// by themselves. With acceptStranding they do so even if nodes are stranded; without it,
// that is an error. It needs the right to get and update Secrets.
func Replace(ctx context.Context, c client.Client, namespace string, ca *pki.CA, acceptStranding bool, now time.Time) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		status, err := Read(ctx, c, namespace, now)
		if err != nil {
			return err
		}
		if _, err := status.Succeed(ca, nil, now); err != nil && !acceptStranding {
			return err
		}
		secret := status.secret
		if secret == nil {
			return status.Problem
		}
		if secret.Data, err = encode(pki.Trust{CA: ca}); err != nil {
			return err
		}
		if acceptStranding {
			metav1.SetMetaDataAnnotation(&secret.ObjectMeta, AcceptStranding, ca.Hash())
		}
		if err := c.Update(ctx, secret); err != nil {
			return fmt.Errorf("update the CA Secret %s/%s: %w", namespace, SecretName, err)
		}
		return nil
	})
}

// Untrust takes an earlier CA out of the state, and those before it that vouch for it,
// as pki.Trust.Without does, and returns them. It needs the right to get and update Secrets.
func Untrust(ctx context.Context, c client.Client, namespace, hash string, now time.Time) (removed []*x509.Certificate, err error) {
	store := Store{Client: c, Namespace: namespace}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		status, err := Read(ctx, c, namespace, now)
		if err != nil {
			return err
		}
		next := state{generation: status.generation}
		if next.Trust, removed, err = status.Without(hash); err != nil {
			return err
		}
		returns := func(cert *x509.Certificate) bool {
			return status.Supplied != nil && pki.HashOf(cert) == status.Supplied.Hash()
		}
		if slices.ContainsFunc(removed, returns) {
			return fmt.Errorf("the Secret %s/%s holds the CA %s, so that it would come back: replace it first", namespace, SecretName, status.Supplied.Hash())
		}
		_, err = store.update(ctx, status.stored, next)
		return err
	})
	return removed, err
}
