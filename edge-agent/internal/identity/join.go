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
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// Options say whom to join as what.
type Options struct {
	// Hub is the address of the hub, as https://host:port.
	Hub string
	// Token is a join token.
	Token string
	// CAHash pins the hub's CA: pki.HashOf it.
	CAHash string
	// Node is the name of the node.
	Node string
	// StateDir is where the identity goes; it is made with mode 0700 if missing.
	StateDir string
	// Force replaces an identity that is there already.
	Force bool
	// SealKey seals the private key in the file; it may be nil.
	SealKey *SealKey
}

// Join makes a key, has the hub certify it, and writes the identity file. Nothing is
// sent before the hub has proven that it belongs to the pinned CA, and the private key
// never leaves the machine. Before the token is used up, all that can be checked on
// this machine has been, and the file can be written.
func Join(ctx context.Context, options Options) error {
	hub, err := options.check()
	if err != nil {
		return err
	}
	path := filepath.Join(options.StateDir, FileName)
	file, err := openTarget(path, options.Force)
	if err != nil {
		return err
	}
	defer file.discard()

	key, request, err := newKey()
	if err != nil {
		return err
	}
	answer, err := exchange(ctx, hub, joinapi.Path, pinned(hub, options.CAHash), joinapi.Request{
		Token: options.Token, Node: options.Node, CSR: request,
	})
	if err != nil {
		return explainJoin(err)
	}
	identity, err := accept(answer, key, time.Now())
	if err == nil && identity.Node() != options.Node {
		err = fmt.Errorf("the certificate is for node %q instead of %q", identity.Node(), options.Node)
	}
	if err != nil {
		return fmt.Errorf("the hub at %s answered with an identity that cannot be right: %w", hub.Host, err)
	}
	identity.joined = hub
	data, err := identity.encode(options.SealKey)
	if err != nil {
		return err
	}
	if err := file.commit(data); err != nil {
		return fmt.Errorf("write the identity to %s (the token is used up now: make a new one): %w", path, err)
	}
	return nil
}

func (o *Options) check() (*url.URL, error) {
	hub, err := joinapi.ParseHub(o.Hub)
	if err != nil {
		return nil, err
	}
	if _, _, err := joinapi.ParseToken(o.Token); err != nil {
		return nil, err
	}
	if err := pki.ValidateHash(o.CAHash); err != nil {
		return nil, err
	}
	return hub, pki.ValidateNodeName(o.Node)
}

func openTarget(path string, force bool) (*replacement, error) {
	dir := filepath.Dir(path)
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	file, err := newReplacement(path)
	if err != nil {
		return nil, fmt.Errorf("the state directory %s cannot be written: %w", dir, err)
	}
	if err := checkVacant(path, force); err != nil {
		file.discard()
		return nil, err
	}
	return file, nil
}

// checkVacant tells whether a join may write an identity. No other join is under way.
func checkVacant(path string, force bool) error {
	switch _, err := os.Lstat(path); {
	case err == nil && !force:
		return fmt.Errorf("this machine has joined already (%s exists): to replace its identity, use --force", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for an identity: %w", err)
	}
	return nil
}

// newKey makes a private key, and the PEM request for its certificate.
func newKey() (key crypto.Signer, request string, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("generate the key: %w", err)
	}
	csr, err := pki.NewRequest(key)
	return key, string(csr), err
}

// pinned is for a hub whose CA is known by its hash only, so that the library cannot
// verify the chain by itself. VerifyConnection does so for every connection, before
// anything is sent: pin, chain, usage, validity and host name.
func pinned(hub *url.URL, caHash string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := pki.VerifyPinned(state.PeerCertificates, caHash, hub.Hostname(), time.Now())
			return err
		},
	}
}

// explainJoin says what to do about a join that has failed.
func explainJoin(err error) error {
	var answered *HubError
	switch {
	case errors.Is(err, errNoAnswer):
		return fmt.Errorf("%w (if the token is refused from now on, it was used up: make a new one)", err)
	case !errors.As(err, &answered):
		return err
	case answered.Status == http.StatusUnauthorized:
		return errors.New("the hub refused the token: it is wrong, used up, expired, or meant for another node; make a new one with `manager token create`")
	case answered.Status == http.StatusTooManyRequests || answered.Status == http.StatusServiceUnavailable:
		return fmt.Errorf("the hub is busy (%s): try again in %s", answered.Message, answered.RetryAfter)
	}
	return fmt.Errorf("the hub refused to let this machine join: %s", answered.Message)
}
