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

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// CALifetime is how long a CA made by NewCA is valid.
	CALifetime = 10 * 365 * 24 * time.Hour

	// clockSkew is how far a certificate is valid into the past, for machines whose
	// clock is a little behind the signer's.
	clockSkew = 5 * time.Minute

	minRSABits = 2048

	// maxCABytes bounds the certificate of a CA: it travels in every handshake.
	maxCABytes = 8 << 10

	pemCertificate        = "CERTIFICATE"
	pemPrivateKey         = "PRIVATE KEY"
	pemCertificateRequest = "CERTIFICATE REQUEST"
)

// CA signs certificates. It is immutable and may be used concurrently.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes a self-signed ECDSA P-256 CA that is valid for CALifetime. It may sign
// further CAs, because that is how it hands over to the next.
func NewCA(now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the CA key: %w", err)
	}
	var name [4]byte
	_, _ = rand.Read(name[:]) // crypto/rand never fails: it ends the program instead
	template := &x509.Certificate{
		// Each CA has a name of its own, as X.509 wants it.
		Subject:               pkix.Name{CommonName: "edgesync-ca", SerialNumber: hex.EncodeToString(name[:])},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(CALifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	cert, err := create(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA certificate: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

// ParseCA loads a CA from PEM. The first certificate is the signer and the anchor
// that agents pin; whatever follows it is ignored. It returns an error that says what
// is wrong if the pair cannot sign certificates for nodes and for the hub now. No error
// shows anything of the key.
func ParseCA(certPEM, keyPEM []byte, now time.Time) (*CA, error) {
	ca, err := parseCA(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	if err := ca.ValidAt(now); err != nil {
		return nil, err
	}
	return ca, nil
}

// parseCA is ParseCA without regard to the time.
func parseCA(certPEM, keyPEM []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", pair.PrivateKey)
	}
	ca := &CA{cert: pair.Leaf, key: key}
	if err := ca.check(); err != nil {
		return nil, fmt.Errorf("certificate %q: %w", ca.cert.Subject, err)
	}
	return ca, nil
}

// Certificate is the CA's own certificate.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// CertificatePEM is the CA's own certificate as PEM.
func (c *CA) CertificatePEM() []byte { return EncodeCertificate(c.cert) }

// KeyPEM is the private key as PKCS #8 PEM. It must go nowhere but into the Secret.
func (c *CA) KeyPEM() ([]byte, error) { return EncodeKey(c.key) }

// Hash is what agents pin: HashOf the CA's certificate.
func (c *CA) Hash() string { return HashOf(c.cert) }

// Pool trusts this CA alone.
func (c *CA) Pool() *x509.CertPool { return poolOf(c.cert) }

// ValidAt is an error if c is not valid yet, or has expired.
func (c *CA) ValidAt(now time.Time) error {
	switch {
	case now.Before(c.cert.NotBefore):
		return fmt.Errorf("certificate %q: it is not valid before %s", c.cert.Subject, c.cert.NotBefore.Format(time.RFC3339))
	case now.After(c.cert.NotAfter):
		return fmt.Errorf("certificate %q: it expired at %s", c.cert.Subject, c.cert.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// check tells whether certificates signed by c will be accepted while it is valid.
func (c *CA) check() error {
	switch cert := c.cert; {
	case len(cert.Raw) > maxCABytes:
		return fmt.Errorf("it has %d bytes, more than %d", len(cert.Raw), maxCABytes)
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return errors.New("it is not a CA certificate (basic constraints lack CA:TRUE)")
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("its key usage does not allow signing certificates")
	case !allowsUsage(cert, x509.ExtKeyUsageClientAuth) || !allowsUsage(cert, x509.ExtKeyUsageServerAuth):
		return errors.New("its extended key usage must allow both client and server authentication, or be absent")
	}
	if key, ok := c.key.Public().(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return fmt.Errorf("its RSA key has %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
	}
	return nil
}

func allowsUsage(ca *x509.Certificate, usage x509.ExtKeyUsage) bool {
	if len(ca.ExtKeyUsage) == 0 && len(ca.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range ca.ExtKeyUsage {
		if u == usage || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

// issue signs a leaf that is valid for the lifetime, but no longer than the CA is.
func (c *CA) issue(template *x509.Certificate, public crypto.PublicKey, lifetime time.Duration, now time.Time) (*x509.Certificate, error) {
	if lifetime <= 0 {
		return nil, fmt.Errorf("lifetime %s is not positive", lifetime)
	}
	if now.After(c.cert.NotAfter) {
		return nil, fmt.Errorf("the CA expired at %s", c.cert.NotAfter.Format(time.RFC3339))
	}
	template.NotBefore = latest(now.Add(-clockSkew), c.cert.NotBefore)
	template.NotAfter = earliest(now.Add(lifetime), c.cert.NotAfter)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	return create(template, c.cert, public, c.key)
}

func create(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	var serial [16]byte
	_, _ = rand.Read(serial[:]) // crypto/rand never fails: it ends the program instead
	template.SerialNumber = new(big.Int).SetBytes(serial[:])
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// EncodeCertificate is the certificate as PEM.
func EncodeCertificate(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: cert.Raw})
}

// EncodeCertificates are the certificates as PEM, one after the other.
func EncodeCertificates(certs []*x509.Certificate) []byte {
	var bundle []byte
	for _, cert := range certs {
		bundle = append(bundle, EncodeCertificate(cert)...)
	}
	return bundle
}

// EncodeKey is a private key as PKCS #8 PEM.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der}), nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
