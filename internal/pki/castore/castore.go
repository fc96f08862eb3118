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

// Package castore keeps the certificate authority in two Secrets of the cluster. One
// holds the CA that is to sign, and may be replaced at any time, by anybody who may. The
// other is the manager's own: the CA that does sign, and what nodes that know only an
// earlier one need.
package castore

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/pki"
)

const (
	// SecretName is the name of the Secret, of type kubernetes.io/tls, that holds the CA
	// that is to sign. The manager makes it if there is none when it first starts.
	SecretName = "edgesync-ca"

	// StateName is the name of the Secret that holds the CA in use, the earlier CAs
	// that are still trusted, and cross certificates. Nobody but the manager and its
	// commands writes it. Losing both Secrets strands every node that has joined, so
	// they belong in the backup.
	StateName = "edgesync-ca-state"

	// AcceptStranding is an annotation of the Secret SecretName. Its value is the hash of the
	// CA in that Secret, to which the manager then changes even if nodes are stranded.
	AcceptStranding = "sync.edgesync.io/accept-stranding"

	// attempts bounds how often a step is tried that another writer got in the way of.
	attempts = 10
)

// +kubebuilder:rbac:groups="",namespace=system,resources=secrets,verbs=get;create;update

// Store keeps the CA in its Secrets. It is not for concurrent use.
type Store struct {
	// Client reads from the API server and not from a cache. It gets, creates and
	// updates Secrets in Namespace.
	Client    client.Client
	Namespace string
	// Hosts are what the hub goes by: a CA that may not vouch for them is not taken.
	Hosts []string
	// Now is the clock.
	Now func() time.Time

	// known is the state as Load has seen or written it last, in case that it is deleted
	// or that an older one is restored.
	known *state
}

// Loaded is the CA in use and what belongs to it.
type Loaded struct {
	pki.Trust
	// Refused says why this is not the CA of the Secret SecretName; nil if it is.
	Refused error

	generation int64
}

// Load is the CA in use. It makes one if there is none, and changes to the one in the
// Secret SecretName if that is another, as pki.Trust.Succeed describes. Every step is a
// write of one Secret that fails if somebody else was faster, so that several callers
// end with the same result, and nothing is used before it is stored.
//
// A CA that cannot be changed to, because it is broken or because nodes would be
// stranded, is no error but Loaded.Refused. A Secret that was deleted is made again, and
// a state that is older than what Load has returned before is put right.
func (s *Store) Load(ctx context.Context) (Loaded, error) {
	var loaded Loaded
	var err error
	for range attempts {
		loaded, err = s.step(ctx)
		if err == nil {
			s.known = &state{Trust: loaded.Trust, generation: loaded.generation}
			return loaded, nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !errors.Is(err, errAgain) {
			return Loaded{}, err
		}
	}
	return Loaded{}, fmt.Errorf("others keep writing the CA Secrets in namespace %s: %w", s.Namespace, err)
}

// errAgain says that a step was done and another one is needed.
var errAgain = errors.New("not done yet")

// step does one write at most. The state is read first: what is read after it is at
// least as new, so that a change that another replica has completed in between cannot
// look like one from the new CA back to the old.
func (s *Store) step(ctx context.Context) (Loaded, error) {
	stored, err := get(ctx, s.Client, s.Namespace, StateName)
	if err != nil {
		return Loaded{}, err
	}
	supplied, err := get(ctx, s.Client, s.Namespace, SecretName)
	if err != nil {
		return Loaded{}, err
	}
	now := s.Now()
	switch {
	case stored == nil && s.known != nil:
		return Loaded{}, s.createState(ctx, *s.known)
	case stored == nil && supplied == nil:
		return Loaded{}, s.createCA(ctx, nil)
	case stored == nil:
		ca, err := parseSupplied(supplied, now)
		if err != nil {
			return Loaded{}, fmt.Errorf("%w (it must hold a CA certificate and its key, or be deleted so that the manager makes one)", err)
		}
		return Loaded{}, s.createState(ctx, state{Trust: pki.Trust{CA: ca}})
	}
	current, err := parseState(stored)
	switch {
	case err != nil:
		return Loaded{}, err
	case s.known != nil && current.generation < s.known.generation:
		if _, err := s.update(ctx, stored, *s.known); err != nil {
			return Loaded{}, err
		}
		return Loaded{}, errAgain
	case supplied == nil && current.CA.ValidAt(now) != nil:
		return Loaded{}, s.createCA(ctx, nil)
	case supplied == nil:
		return Loaded{}, s.createCA(ctx, current.CA)
	}
	current.Trust = current.At(now)
	return s.follow(ctx, stored, supplied, current, now)
}

// createCA makes the Secret of the CA, of a new one if ca is nil.
func (s *Store) createCA(ctx context.Context, ca *pki.CA) error {
	if ca == nil {
		var err error
		if ca, err = pki.NewCA(s.Now()); err != nil {
			return err
		}
	}
	secret, err := newSecret(s.Namespace, SecretName, corev1.SecretTypeTLS, pki.Trust{CA: ca})
	if err != nil {
		return err
	}
	return s.create(ctx, secret)
}

func (s *Store) createState(ctx context.Context, first state) error {
	secret, err := newSecret(s.Namespace, StateName, corev1.SecretTypeOpaque, first.Trust)
	if err != nil {
		return err
	}
	first.generation++
	first.count(secret.Data)
	return s.create(ctx, secret)
}

func (s *Store) create(ctx context.Context, secret *corev1.Secret) error {
	if err := s.Client.Create(ctx, secret); err != nil {
		return fmt.Errorf("create the CA Secret %s/%s: %w", s.Namespace, secret.Name, err)
	}
	return errAgain
}

// follow changes to the CA that is supplied, if it is not the one in use.
func (s *Store) follow(ctx context.Context, stored, supplied *corev1.Secret, current state, now time.Time) (Loaded, error) {
	ca, err := parseSupplied(supplied, now)
	if err != nil {
		return current.loaded(err), nil
	}
	if ca.Certificate().Equal(current.CA.Certificate()) {
		return current.loaded(nil), nil
	}
	next, err := current.Succeed(ca, s.Hosts, now)
	if err := s.judge(err, supplied, ca); err != nil {
		return current.loaded(err), nil
	}
	current.Trust = next
	current, err = s.update(ctx, stored, current)
	return current.loaded(nil), err
}

// update replaces the state by the next, if it still is as it was read.
func (s *Store) update(ctx context.Context, stored *corev1.Secret, next state) (state, error) {
	var err error
	if stored.Data, err = encode(next.Trust); err != nil {
		return state{}, err
	}
	next.generation++
	next.count(stored.Data)
	if err := s.Client.Update(ctx, stored); err != nil {
		return state{}, fmt.Errorf("update the CA Secret %s/%s: %w", s.Namespace, StateName, err)
	}
	return next, nil
}

// judge is what stands against a succession that ended with err.
func (s *Store) judge(err error, supplied *corev1.Secret, ca *pki.CA) error {
	var stranded *pki.StrandedError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &stranded):
		return fmt.Errorf("the CA in the Secret %s/%s cannot be used: %w", s.Namespace, SecretName, err)
	case supplied.Annotations[AcceptStranding] == ca.Hash():
		return nil
	}
	return fmt.Errorf("the CA in the Secret %s/%s is not used: %w. Put the former CA back, or accept that those nodes have to join again: "+
		"kubectl -n %s annotate secret %s %s=%s --overwrite", s.Namespace, SecretName, err, s.Namespace, SecretName, AcceptStranding, ca.Hash())
}
