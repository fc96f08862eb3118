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

package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
)

// Tokens are the join tokens of a namespace, each kept as a Secret. The client must
// read from the API server and not from a cache. It may be used concurrently.
type Tokens struct {
	Client    client.Client
	Namespace string
}

// Create stores a token that NewToken made.
func (t Tokens) Create(ctx context.Context, token *Token) error {
	secret, err := token.toSecret(t.Namespace)
	if err != nil {
		return err
	}
	if err := t.Client.Create(ctx, secret); err != nil {
		return fmt.Errorf("create the Secret of join token %s in namespace %s: %w", token.ID, t.Namespace, err)
	}
	return nil
}

// List returns the tokens that can be read, ordered by ID, in whatever state. The
// error joins one for each Secret that is not a valid token.
func (t Tokens) List(ctx context.Context) ([]*Token, error) {
	secrets := &corev1.SecretList{}
	err := t.Client.List(ctx, secrets, client.InNamespace(t.Namespace), client.MatchingFields{"type": string(SecretType)})
	if err != nil {
		return nil, fmt.Errorf("list the join tokens in namespace %s: %w", t.Namespace, err)
	}
	var tokens []*Token
	var problems []error
	for i := range secrets.Items {
		token, err := tokenFromSecret(&secrets.Items[i])
		if err != nil {
			problems = append(problems, fmt.Errorf("the Secret %s/%s is not a join token: %w", t.Namespace, secrets.Items[i].Name, err))
			continue
		}
		tokens = append(tokens, token)
	}
	slices.SortFunc(tokens, func(a, b *Token) int { return strings.Compare(a.ID, b.ID) })
	return tokens, errors.Join(problems...)
}

// Revoke deletes a token, valid or not. Nodes that have joined with it stay.
func (t Tokens) Revoke(ctx context.Context, id string) error {
	if !joinapi.ValidTokenID(id) {
		return fmt.Errorf("%q is not the ID of a join token: that is the part before the dot", id)
	}
	secret, err := t.get(ctx, id)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no join token %s in namespace %s: it was revoked, or is in another namespace", id, t.Namespace)
	}
	if err != nil {
		return err
	}
	if secret.Type != SecretType {
		return fmt.Errorf("the Secret %s/%s is not a join token: its type is %q", t.Namespace, secret.Name, secret.Type)
	}
	if err := t.Client.Delete(ctx, secret); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete join token %s: %w", id, err)
	}
	return nil
}

// get reads the Secret of a token; apierrors.IsNotFound applies to its error.
func (t Tokens) get(ctx context.Context, id string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := t.Client.Get(ctx, client.ObjectKey{Namespace: t.Namespace, Name: secretName(id)}, secret); err != nil {
		return nil, fmt.Errorf("read join token %s: %w", id, err)
	}
	return secret, nil
}

// take counts a use of the token by the node, provided that its Secret is still as the
// caller read it. Of several callers that read the same one, one succeeds; the others
// get an error that apierrors.IsConflict or IsNotFound applies to.
func (t Tokens) take(ctx context.Context, secret *corev1.Secret, token *Token, node string) error {
	next := secret.DeepCopy()
	next.Data[keyUsed] = []byte(strconv.Itoa(token.Used + 1))
	next.Data[keyLastNode] = []byte(node)
	return t.Client.Update(ctx, next) // carries the resourceVersion
}
