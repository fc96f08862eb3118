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
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const (
	idBytes     = 5  // 8 characters of base32: enough to tell tokens apart
	secretBytes = 32 // 256 bits: not to be guessed
)

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token is a join token as the cluster keeps it: without its secret.
type Token struct {
	// ID is the public half of the token.
	ID string
	// SecretHash is the SHA-256 of the secret half. A slow hash, as for a password, is
	// not needed: nobody can search 256 random bits.
	SecretHash [sha256.Size]byte
	// Expires is when the token stops to work.
	Expires time.Time
	// Uses is how many nodes may join with it, Used how many have, and LastNode the one
	// that did last.
	Uses     int
	Used     int
	LastNode string
	// Node, if set, is the only name that may join. It also allows to join an EdgeNode
	// that somebody has prepared, and no machine has joined yet; other tokens only make
	// new ones.
	Node string
	// NodePrefix, if set, is how the name must begin.
	NodePrefix string
	// Rejoin allows Node to join although it has joined before.
	Rejoin bool
	// Labels are those of an EdgeNode that the token makes. They come from the
	// administrator alone, since they decide what a node is sent, and so may be any but
	// those that are for the node to say (syncv1alpha1.SelfLabelPrefix). Those of
	// Kubernetes are among them: topology.kubernetes.io/region is for an administrator
	// to set on an EdgeNode as it is on a Node.
	Labels map[string]string
	// Unmanaged tells that Tokens.Create did not make its Secret, so that somebody else,
	// such as a GitOps tool, may make it again once it is gone.
	Unmanaged bool
}

// TokenState tells whether a token can be used.
type TokenState string

// The states of a token. One that has both been used up and expired is TokenExpired.
const (
	TokenValid   TokenState = "valid"
	TokenUsed    TokenState = "used"
	TokenExpired TokenState = "expired"
)

// State tells whether the token can be used at that time.
func (t *Token) State(now time.Time) TokenState {
	switch {
	case !now.Before(t.Expires):
		return TokenExpired
	case t.Used >= t.Uses:
		return TokenUsed
	}
	return TokenValid
}

// NewToken completes a template with a random ID and secret. It returns the token
// string, the only place that the secret is in.
func NewToken(template Token) (*Token, string, error) {
	token := template
	token.ID = randomString(idBytes)
	secret := randomString(secretBytes)
	token.SecretHash = sha256.Sum256([]byte(secret))
	if err := token.Validate(); err != nil {
		return nil, "", err
	}
	return &token, joinapi.FormatToken(token.ID, secret), nil
}

func randomString(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // crypto/rand never fails: it ends the program instead
	return tokenEncoding.EncodeToString(b)
}

// Validate tells whether the token may be stored and used.
func (t *Token) Validate() error {
	switch {
	case !joinapi.ValidTokenID(t.ID):
		return fmt.Errorf("the token ID %q is not 8 to 10 characters of a-z and 0-9", t.ID)
	case t.Uses < 1:
		return errors.New("the number of uses must be at least 1")
	case t.Used < 0:
		return errors.New("the number of machines that have used it is negative")
	case t.Expires.IsZero():
		return errors.New("the token must expire")
	case t.Node != "" && t.NodePrefix != "":
		return errors.New("node name and node name prefix exclude each other")
	case t.Rejoin && t.Node == "":
		return errors.New("a rejoin token must be bound to a node name")
	}
	if t.Node != "" {
		if err := pki.ValidateNodeName(t.Node); err != nil {
			return err
		}
	}
	if t.NodePrefix != "" {
		// A prefix may end in what no name ends in, such as "edge-".
		if err := pki.ValidateNodeName(t.NodePrefix + "0"); err != nil {
			return fmt.Errorf("node name prefix %q: no node name begins with it", t.NodePrefix)
		}
	}
	return t.validateLabels()
}

func (t *Token) validateLabels() error {
	for key := range t.Labels {
		if strings.HasPrefix(key, syncv1alpha1.SelfLabelPrefix) {
			return fmt.Errorf("the label %s: what begins with %s is for the node to say of itself", key, syncv1alpha1.SelfLabelPrefix)
		}
	}
	return metav1validation.ValidateLabels(t.Labels, field.NewPath("labels")).ToAggregate()
}

// Matches compares a secret with the token's, in constant time.
func (t *Token) Matches(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], t.SecretHash[:]) == 1
}

// AllowsName tells whether a node of that name may join with the token.
func (t *Token) AllowsName(node string) bool {
	if t.Node != "" {
		return node == t.Node
	}
	return strings.HasPrefix(node, t.NodePrefix)
}
