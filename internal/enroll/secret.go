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
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// SecretType is the type of the Secret of a join token. It cannot be changed on a
	// Secret that exists, so no other Secret can be turned into a token.
	SecretType corev1.SecretType = "sync.edgesync.io/join-token"

	secretNamePrefix = "edgesync-join-"

	// labelManagedBy with the value managedBy is on the Secrets that Tokens.Create makes.
	labelManagedBy = "app.kubernetes.io/managed-by"
	managedBy      = "edgesync"
)

// Keys of the Secret of a join token. Who makes the token writes all but the last two.
// Those are the manager's: what re-applies the Secret leaves them alone, so that a token
// which is used up stays so.
const (
	keySecretHash = "secret-sha256" // hexadecimal SHA-256 of the secret's characters
	keyExpires    = "expires"       // RFC 3339
	keyUses       = "uses"          // decimal; absent means 1
	keyNode       = "node"          // optional
	keyNodePrefix = "node-prefix"   // optional
	keyRejoin     = "rejoin"        // "true" or absent
	keyLabels     = "labels"        // optional, a JSON object

	keyUsed     = "used"      // decimal; absent means 0
	keyLastNode = "last-node" // absent until the token is used
)

func secretName(id string) string { return secretNamePrefix + id }

// toSecret is the Secret that keeps the token.
func (t *Token) toSecret(namespace string) (*corev1.Secret, error) {
	data := map[string][]byte{
		keySecretHash: []byte(hex.EncodeToString(t.SecretHash[:])),
		keyExpires:    []byte(t.Expires.UTC().Format(time.RFC3339)),
		keyUses:       []byte(strconv.Itoa(t.Uses)),
	}
	if t.Node != "" {
		data[keyNode] = []byte(t.Node)
	}
	if t.NodePrefix != "" {
		data[keyNodePrefix] = []byte(t.NodePrefix)
	}
	if t.Rejoin {
		data[keyRejoin] = []byte("true")
	}
	if len(t.Labels) > 0 {
		labels, err := json.Marshal(t.Labels)
		if err != nil {
			return nil, fmt.Errorf("encode the labels: %w", err)
		}
		data[keyLabels] = labels
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      secretName(t.ID),
			Labels: map[string]string{
				"app.kubernetes.io/name":      "edgesync",
				"app.kubernetes.io/component": "join-token",
				labelManagedBy:                managedBy,
			},
		},
		Type: SecretType,
		Data: data,
	}, nil
}

// tokenFromSecret reads a token from its Secret, which anybody with access to the
// namespace may have written.
func tokenFromSecret(secret *corev1.Secret) (*Token, error) {
	if secret.Type != SecretType {
		return nil, fmt.Errorf("its type is %q, not %q", secret.Type, SecretType)
	}
	id, ok := strings.CutPrefix(secret.Name, secretNamePrefix)
	if !ok {
		return nil, fmt.Errorf("its name does not begin with %s", secretNamePrefix)
	}
	if secret.Immutable != nil && *secret.Immutable {
		return nil, errors.New("it is immutable, so that its uses cannot be counted")
	}
	text := func(key string) string { return strings.TrimSpace(string(secret.Data[key])) }
	token := &Token{
		ID:         id,
		Node:       text(keyNode),
		NodePrefix: text(keyNodePrefix),
		LastNode:   text(keyLastNode),
		Unmanaged:  secret.Labels[labelManagedBy] != managedBy,
	}
	hash, err := hex.DecodeString(text(keySecretHash))
	if err != nil || len(hash) != sha256.Size {
		return nil, fmt.Errorf("%s is not a hexadecimal SHA-256", keySecretHash)
	}
	token.SecretHash = [sha256.Size]byte(hash)
	if token.Expires, err = time.Parse(time.RFC3339, text(keyExpires)); err != nil {
		return nil, fmt.Errorf("%s is not a time as RFC 3339 writes it", keyExpires)
	}
	if token.Uses, err = number(text(keyUses), 1); err != nil {
		return nil, fmt.Errorf("%s is not a number", keyUses)
	}
	if token.Used, err = number(text(keyUsed), 0); err != nil {
		return nil, fmt.Errorf("%s is not a number", keyUsed)
	}
	if rejoin := text(keyRejoin); rejoin != "" {
		if token.Rejoin, err = strconv.ParseBool(rejoin); err != nil {
			return nil, fmt.Errorf("%s is neither true nor false", keyRejoin)
		}
	}
	if labels := text(keyLabels); labels != "" {
		if err := json.Unmarshal([]byte(labels), &token.Labels); err != nil {
			return nil, fmt.Errorf("%s is not a JSON object of strings", keyLabels)
		}
	}
	return token, token.Validate()
}

func number(text string, absent int) (int, error) {
	if text == "" {
		return absent, nil
	}
	return strconv.Atoi(text)
}
