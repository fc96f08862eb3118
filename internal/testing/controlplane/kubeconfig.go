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
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// The administrator is a member of the group that passes every authorization.
const (
	adminUser  = "kubernetes-admin"
	adminGroup = "system:masters"
)

// KubeconfigPath names the administrator's kubeconfig.
func (c *ControlPlane) KubeconfigPath() string { return filepath.Join(c.cfg.Dir, "kubeconfig") }

// RESTConfig returns a new administrator's configuration with no client-side rate limit.
func (c *ControlPlane) RESTConfig() *rest.Config {
	return &rest.Config{
		Host:  c.URL(),
		QPS:   -1,
		Burst: -1,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   c.pki.ca.certPEM,
			CertData: c.pki.admin.certPEM,
			KeyData:  c.pki.admin.keyPEM,
		},
	}
}

// IssueClientCert returns a new certificate and key, both PEM, with which a client
// is the user name in groups.
func (c *ControlPlane) IssueClientCert(name string, groups ...string) (certPEM, keyPEM []byte, err error) {
	p, err := issue(c.pki.ca, leafTemplate(name, groups, clientAuth))
	if err != nil {
		return nil, nil, err
	}
	return p.certPEM, p.keyPEM, nil
}

// UserKubeconfig writes a kubeconfig for the user name in groups, mode 0600, and
// returns its path. A second call for the same name replaces the first file; the
// file stays as it is when nothing changes.
func (c *ControlPlane) UserKubeconfig(name string, groups ...string) (string, error) {
	return c.UserKubeconfigFor(c.URL(), name, groups...)
}

// UserKubeconfigFor is UserKubeconfig for whoever reaches the API server at another URL,
// of a proxy on this machine. Each URL has a file of its own.
func (c *ControlPlane) UserKubeconfigFor(server, name string, groups ...string) (string, error) {
	c.users.Lock()
	defer c.users.Unlock()
	dir := filepath.Join(c.cfg.Dir, "users")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	base := filepath.Join(dir, url.PathEscape(name))
	identity := sha256.Sum256([]byte(strings.Join(groups, "\n")))
	user, err := loadOrIssue(fmt.Sprintf("%s-%x", base, identity[:4]), c.pki.ca, leafTemplate(name, groups, clientAuth))
	if err != nil {
		return "", err
	}
	path := base + ".kubeconfig"
	if server != c.URL() {
		path = base + "@" + url.PathEscape(server) + ".kubeconfig"
	}
	return path, c.writeKubeconfig(path, server, user)
}

func (c *ControlPlane) writeKubeconfig(path, server string, user *pair) error {
	const cluster = "edgesync"
	name := user.cert.Subject.CommonName
	data, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			cluster: {Server: server, CertificateAuthorityData: c.pki.ca.certPEM},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			name: {ClientCertificateData: user.certPEM, ClientKeyData: user.keyPEM},
		},
		Contexts:       map[string]*clientcmdapi.Context{cluster: {Cluster: cluster, AuthInfo: name}},
		CurrentContext: cluster,
	})
	if err != nil {
		return err
	}
	return process.WriteFile(path, data)
}
