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

package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// serviceIP is the address of the kubernetes Service in serviceCIDR.
const (
	serviceCIDR = "10.0.0.0/24"
	serviceIP   = "10.0.0.1"
)

// Test control planes are thrown away long before this ends.
const validity = 10 * 365 * 24 * time.Hour

// pair is a certificate with its private key.
type pair struct {
	certPEM, keyPEM []byte
	cert            *x509.Certificate
	key             crypto.Signer
}

// pki is the identity of one control plane. etcd trusts a CA of its own, so that
// no user of the API server can pass for the API server there; and so do aggregated
// APIs, for the same reason.
type pki struct {
	dir                      string
	ca, etcdCA               *pair
	frontProxyCA             *pair
	admin, controllerManager *pair
	etcdClient               *pair
}

func (k *pki) path(file string) string { return filepath.Join(k.dir, file) }

// loadPKI reads the keys in dir and makes those that are missing.
func loadPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k := &pki{dir: dir}
	serving := append([]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, clientAuth...) // etcd dials its own port as a client
	steps := []struct {
		name     string
		issuer   **pair
		template *x509.Certificate
		into     **pair
	}{
		{"ca", nil, caTemplate("kubernetes-ca"), &k.ca},
		{"etcd-ca", nil, caTemplate("etcd-ca"), &k.etcdCA},
		{"front-proxy-ca", nil, caTemplate("front-proxy-ca"), &k.frontProxyCA},
		{"front-proxy-client", &k.frontProxyCA, leafTemplate(frontProxyUser, nil, clientAuth), new(*pair)},
		{"etcd", &k.etcdCA, leafTemplate("etcd", nil, serving, Host, "localhost"), new(*pair)},
		{"apiserver-etcd-client", &k.etcdCA, leafTemplate("kube-apiserver", nil, clientAuth), &k.etcdClient},
		{"apiserver", &k.ca, leafTemplate("kube-apiserver", nil, serving[:1], Host, "localhost", serviceIP,
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"), new(*pair)},
		{"admin", &k.ca, leafTemplate(adminUser, []string{adminGroup}, clientAuth), &k.admin},
		{"service-account", nil, leafTemplate("service-account", nil, nil), new(*pair)}, // the public key may be read from a certificate
		{"controller-manager-serving", &k.ca, leafTemplate("kube-controller-manager", nil, serving[:1], Host, "localhost"), new(*pair)},
		{"controller-manager", &k.ca, leafTemplate("system:kube-controller-manager", nil, clientAuth), &k.controllerManager},
	}
	for _, s := range steps {
		var issuer *pair
		if s.issuer != nil {
			issuer = *s.issuer
		}
		p, err := loadOrIssue(k.path(s.name), issuer, s.template)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", s.name, err)
		}
		*s.into = p
	}
	return k, nil
}

// frontProxyUser is as whom the API server speaks to aggregated APIs.
const frontProxyUser = "front-proxy-client"

var clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
}

func leafTemplate(name string, groups []string, usage []x509.ExtKeyUsage, hosts ...string) *x509.Certificate {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: usage,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t
}

// issue signs t for a new key. A nil issuer signs itself.
func issue(issuer *pair, t *x509.Certificate) (*pair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126)); err != nil {
		return nil, err
	}
	t.NotBefore = time.Now().Add(-time.Minute)
	t.NotAfter = t.NotBefore.Add(validity)
	parent, signer := t, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return newPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM)
}

// loadOrIssue reads base.crt and base.key, or makes both when one is missing.
func loadOrIssue(base string, issuer *pair, t *x509.Certificate) (*pair, error) {
	certPEM, certErr := os.ReadFile(base + ".crt")
	keyPEM, keyErr := os.ReadFile(base + ".key")
	if err := errors.Join(certErr, keyErr); err == nil {
		return newPair(certPEM, keyPEM)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	p, err := issue(issuer, t)
	if err != nil {
		return nil, err
	}
	return p, errors.Join(process.WriteFile(base+".key", p.keyPEM), process.WriteFile(base+".crt", p.certPEM))
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func newPair(certPEM, keyPEM []byte) (*pair, error) {
	both, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	return &pair{certPEM: certPEM, keyPEM: keyPEM, cert: both.Leaf, key: both.PrivateKey.(crypto.Signer)}, nil
}

// tlsConfig is that of a client which presents p and trusts ca.
func (p *pair) tlsConfig(ca *pair) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	return &tls.Config{
		RootCAs:      roots,
		Certificates: []tls.Certificate{{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key}},
	}
}
