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
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
)

// The identity file is a sequence of PEM blocks, so that the usual tools can read it.
// The first certificate is the node's, the others are CAs.
const (
	blockHub         = "EDGESYNC HUB"
	blockAnnounced   = "EDGESYNC HUB ADDRESS"
	blockKey         = "PRIVATE KEY"
	blockSealedKey   = "EDGESYNC SEALED KEY"
	blockCertificate = "CERTIFICATE"

	headerURL = "URL"
)

// encode is the content of the identity file. A key that is not sealed yet is sealed
// with seal, if there is one.
func (i *Identity) encode(seal *SealKey) ([]byte, error) {
	key, err := i.encodeKey(seal)
	if err != nil {
		return nil, err
	}
	data := encodeURL(blockHub, i.joined)
	for _, hub := range i.announced {
		data = append(data, encodeURL(blockAnnounced, hub)...)
	}
	data = append(data, key...)
	data = append(data, pki.EncodeCertificate(i.cert)...)
	for _, ca := range i.cas {
		data = append(data, pki.EncodeCertificate(ca)...)
	}
	return data, nil
}

func (i *Identity) encodeKey(seal *SealKey) ([]byte, error) {
	sealed := i.sealed
	switch {
	case i.key == nil:
	case seal == nil:
		return pki.EncodeKey(i.key)
	default:
		var err error
		if sealed, err = seal.seal(i.key, i.cert); err != nil {
			return nil, err
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockSealedKey, Bytes: sealed}), nil
}

func encodeURL(block string, hub *url.URL) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: block, Headers: map[string]string{headerURL: hub.String()}})
}

// parse reads what encode writes. Blocks of other types are left for later versions.
func parse(data []byte) (*Identity, error) {
	var identity Identity
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		if err := identity.add(block); err != nil {
			return nil, fmt.Errorf("PEM block %s: %w", block.Type, err)
		}
	}
	if identity.joined == nil || identity.cert == nil || identity.key == nil && identity.sealed == nil {
		return nil, errors.New("the hub's address, the private key or the certificate is missing")
	}
	return &identity, identity.check()
}

// add takes over what one block of the file says.
func (i *Identity) add(block *pem.Block) (err error) {
	switch block.Type {
	case blockHub:
		i.joined, err = joinapi.ParseHub(block.Headers[headerURL])
	case blockAnnounced:
		err = i.addAnnounced(block.Headers[headerURL])
	case blockKey, blockSealedKey:
		err = i.addKey(block)
	case blockCertificate:
		err = i.addCertificate(block.Bytes)
	}
	return err
}

func (i *Identity) addAnnounced(address string) error {
	if len(i.announced) == protocol.MaxHubAddresses {
		return fmt.Errorf("there are more than %d", protocol.MaxHubAddresses)
	}
	hub, err := joinapi.ParseHub(address)
	i.announced = append(i.announced, hub)
	return err
}

func (i *Identity) addKey(block *pem.Block) (err error) {
	if i.key != nil || i.sealed != nil {
		return errors.New("there are two private keys")
	}
	if block.Type == blockSealedKey {
		i.sealed = block.Bytes
		return checkSealed(block.Bytes)
	}
	i.key, err = parseKey(block.Bytes)
	return err
}

func (i *Identity) addCertificate(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if i.cert == nil {
		i.cert = cert
	} else {
		i.cas = append(i.cas, cert)
	}
	return err
}

func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}
