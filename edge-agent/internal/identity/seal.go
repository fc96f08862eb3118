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

package identity

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// minSecretBytes and maxSecretBytes bound the file of a SealKey.
	minSecretBytes = 32
	maxSecretBytes = 4096

	// sealPurpose keeps the key of this cipher apart from all others that may be
	// derived from the same file.
	sealPurpose = "edgesync identity key, AES-256-GCM"

	sealKeyBytes   = 32
	sealNonceBytes = 12
	sealTagBytes   = 16
	maxSealedBytes = 8 << 10
)

var (
	// ErrSealed says that the private key is sealed and that there is nothing to unseal it with.
	ErrSealed = errors.New("the private key is sealed: give the key that it was sealed with by --seal-key-file, " +
		"sealKeyFile in the configuration, or the systemd credential edgesync-seal-key")
	// ErrWrongSealKey says that the private key was sealed with another key, or is damaged.
	ErrWrongSealKey = errors.New("the private key cannot be unsealed: it was sealed with another key, or is damaged; " +
		"give the right key, or join again with `edge-agent join --force`")
)

// SealKey encrypts the private key of the node in the identity file. It is immutable
// and may be used concurrently.
type SealKey struct {
	aead cipher.AEAD
}

// NewSealKey derives a key from a secret of 32 to 4096 bytes, which should be random:
// nothing slows down whoever guesses.
func NewSealKey(secret []byte) (*SealKey, error) {
	if n := len(secret); n < minSecretBytes || n > maxSecretBytes {
		return nil, fmt.Errorf("a seal key has between %d and %d bytes, not %d: make one with `head -c 32 /dev/urandom`",
			minSecretBytes, maxSecretBytes, n)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, sealPurpose, sealKeyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive the seal key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive the seal key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("derive the seal key: %w", err)
	}
	return &SealKey{aead: aead}, nil
}

// sealCredential is the name of the systemd credential that is a seal key.
const sealCredential = "edgesync-seal-key"

// FindSealKey loads the key of a file or, if path is empty, the credential
// edgesync-seal-key from the directory that systemd passes in $CREDENTIALS_DIRECTORY, if
// it is there. It returns nil if there is none.
func FindSealKey(path, credentials string) (*SealKey, error) {
	if path != "" {
		return loadSealKey(path, credentials != "" && filepath.Dir(path) == filepath.Clean(credentials))
	}
	if credentials == "" {
		return nil, nil
	}
	key, err := loadSealKey(filepath.Join(credentials, sealCredential), true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return key, err
}

// loadSealKey reads the secret of a SealKey from a file, which nobody but its owner
// may have access to. protected says that the directory of the file sees to that, as
// systemd's for credentials does: their modes need not say so.
func loadSealKey(path string, protected bool) (*SealKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the seal key: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("look at the seal key: %w", err)
	case !protected && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("the seal key %s has mode %04o, so others can get at it: run `chmod 0600 %s`",
			path, info.Mode().Perm(), path)
	}
	secret, err := io.ReadAll(io.LimitReader(file, maxSecretBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the seal key: %w", err)
	}
	key, err := NewSealKey(secret)
	if err != nil {
		return nil, fmt.Errorf("the seal key %s: %w", path, err)
	}
	return key, nil
}

// seal encrypts the private key of a certificate. It belongs to this certificate
// alone: beside another one it does not open.
func (s *SealKey) seal(key crypto.Signer, cert *x509.Certificate) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the private key: %w", err)
	}
	return s.aead.Seal(nil, nil, der, cert.Raw), nil // begins with the nonce
}

func (s *SealKey) open(sealed []byte, cert *x509.Certificate) (crypto.Signer, error) {
	der, err := s.aead.Open(nil, nil, sealed, cert.Raw)
	if err != nil {
		return nil, ErrWrongSealKey
	}
	return parseKey(der)
}

func checkSealed(sealed []byte) error {
	if n := len(sealed); n <= sealNonceBytes+sealTagBytes || n > maxSealedBytes {
		return fmt.Errorf("%d bytes are not a sealed key", n)
	}
	return nil
}

// unseal is the identity with its private key; key may be nil if it is not sealed.
func (i *Identity) unseal(key *SealKey) (*Identity, error) {
	if !i.Sealed() {
		return i, nil
	}
	if key == nil {
		return nil, ErrSealed
	}
	opened := *i
	var err error
	if opened.key, err = key.open(i.sealed, i.cert); err != nil {
		return nil, err
	}
	return &opened, opened.check()
}
