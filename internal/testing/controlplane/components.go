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
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

func (c *ControlPlane) newProgram(name string, port int, args []string) *program {
	return &program{
		name:     name,
		path:     filepath.Join(c.cfg.Assets, name),
		args:     args,
		dir:      c.cfg.Dir,
		port:     port,
		detached: c.cfg.Detached,
	}
}

func (c *ControlPlane) newEtcd() *program {
	url := fmt.Sprintf("https://%s:%d", Host, c.ports.Etcd)
	peerURL := fmt.Sprintf("https://%s:0", Host) // there are no peers, but etcd always listens for them
	args := []string{
		"--data-dir=" + filepath.Join(c.cfg.Dir, "etcd"),
		"--listen-client-urls=" + url,
		"--advertise-client-urls=" + url,
		"--client-cert-auth",
		"--trusted-ca-file=" + c.pki.path("etcd-ca.crt"),
		"--cert-file=" + c.pki.path("etcd.crt"),
		"--key-file=" + c.pki.path("etcd.key"),
		"--listen-peer-urls=" + peerURL,
		"--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=default=" + peerURL,
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + c.pki.path("etcd-ca.crt"),
		"--peer-cert-file=" + c.pki.path("etcd.crt"),
		"--peer-key-file=" + c.pki.path("etcd.key"),
	}
	if c.cfg.UnsafeNoFsync {
		args = append(args, "--unsafe-no-fsync")
	}
	p := c.newProgram("etcd", c.ports.Etcd, args)
	p.client = newClient(c.pki.etcdClient, c.pki.etcdCA)
	p.ready = []check{{url: url + "/health"}}
	return p
}

func (c *ControlPlane) newAPIServer() *program {
	args := []string{
		fmt.Sprintf("--etcd-servers=https://%s:%d", Host, c.ports.Etcd),
		"--etcd-cafile=" + c.pki.path("etcd-ca.crt"),
		"--etcd-certfile=" + c.pki.path("apiserver-etcd-client.crt"),
		"--etcd-keyfile=" + c.pki.path("apiserver-etcd-client.key"),
		"--bind-address=" + Host,
		fmt.Sprintf("--secure-port=%d", c.ports.APIServer),
		"--tls-cert-file=" + c.pki.path("apiserver.crt"),
		"--tls-private-key-file=" + c.pki.path("apiserver.key"),
		"--client-ca-file=" + c.pki.path("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + c.pki.path("service-account.key"),
		"--service-account-key-file=" + c.pki.path("service-account.crt"),
		"--service-cluster-ip-range=" + serviceCIDR,
		"--endpoint-reconciler-type=none", // a loopback address is no legal endpoint
		"--allow-privileged",
	}
	if len(c.cfg.Controllers) == 0 {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	p := c.newProgram("kube-apiserver", c.ports.APIServer, append(args, c.cfg.ExtraAPIServerArgs...))
	p.client = newClient(c.pki.admin, c.pki.ca)
	p.ready = []check{{url: c.URL() + "/readyz"}, {url: c.URL() + "/api/v1/namespaces/default"}}
	return p
}

func (c *ControlPlane) newControllerManager(kubeconfig string) *program {
	p := c.newProgram("kube-controller-manager", c.ports.ControllerManager, []string{
		"--kubeconfig=" + kubeconfig,
		"--controllers=" + strings.Join(c.cfg.Controllers, ","),
		"--leader-elect=false",
		"--use-service-account-credentials",
		"--bind-address=" + Host,
		fmt.Sprintf("--secure-port=%d", c.ports.ControllerManager),
		"--tls-cert-file=" + c.pki.path("controller-manager-serving.crt"),
		"--tls-private-key-file=" + c.pki.path("controller-manager-serving.key"),
		"--service-account-private-key-file=" + c.pki.path("service-account.key"),
		"--root-ca-file=" + c.pki.path("ca.crt"),
	})
	p.client = newClient(c.pki.admin, c.pki.ca)
	for _, controller := range c.cfg.Controllers {
		p.ready = append(p.ready, check{
			url:  fmt.Sprintf("https://%s:%d/healthz?verbose", Host, c.ports.ControllerManager),
			says: "[+]" + controller + " ok",
		})
	}
	return p
}

// newClient makes a connection for each request: an idle one would outlive the control plane.
func newClient(user, ca *pair) *http.Client {
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   user.tlsConfig(ca),
			DisableKeepAlives: true,
		},
	}
}
