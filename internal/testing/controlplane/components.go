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
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// While clients watch, the API server takes a minute to end. Requests take no such time.
const apiServerStopTimeout = 5 * time.Second

func (c *ControlPlane) newProgram(name string, port int, args []string) *process.Program {
	return &process.Program{
		Path:     filepath.Join(c.cfg.Assets, name),
		Args:     args,
		Dir:      c.cfg.Dir,
		Ports:    []int{port},
		Detached: c.cfg.Detached,
	}
}

func (c *ControlPlane) newEtcd() *process.Program {
	url := "https://" + c.ports.Address(etcdPort)
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
	p := c.newProgram("etcd", c.ports.Get(etcdPort), args)
	p.Ready = all(newClient(c.pki.etcdClient, c.pki.etcdCA), check{url: url + "/health"})
	return p
}

func (c *ControlPlane) newAPIServer() *process.Program {
	args := []string{
		"--etcd-servers=https://" + c.ports.Address(etcdPort),
		"--etcd-cafile=" + c.pki.path("etcd-ca.crt"),
		"--etcd-certfile=" + c.pki.path("apiserver-etcd-client.crt"),
		"--etcd-keyfile=" + c.pki.path("apiserver-etcd-client.key"),
		"--bind-address=" + Host,
		fmt.Sprintf("--secure-port=%d", c.ports.Get(apiServerPort)),
		"--tls-cert-file=" + c.pki.path("apiserver.crt"),
		"--tls-private-key-file=" + c.pki.path("apiserver.key"),
		"--client-ca-file=" + c.pki.path("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + c.pki.path("service-account.key"),
		"--service-account-key-file=" + c.pki.path("service-account.crt"),
		"--service-cluster-ip-range=" + serviceCIDR,
		"--proxy-client-cert-file=" + c.pki.path("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.pki.path("front-proxy-client.key"),
		"--requestheader-client-ca-file=" + c.pki.path("front-proxy-ca.crt"),
		"--requestheader-allowed-names=" + frontProxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-uid-headers=X-Remote-Uid",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--endpoint-reconciler-type=none", // a loopback address is no legal endpoint
		"--allow-privileged",
	}
	if len(c.cfg.Controllers) == 0 {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	p := c.newProgram("kube-apiserver", c.ports.Get(apiServerPort), append(args, c.cfg.ExtraAPIServerArgs...))
	p.StopTimeout = apiServerStopTimeout
	p.Ready = all(newClient(c.pki.admin, c.pki.ca),
		check{url: c.URL() + "/readyz"}, check{url: c.URL() + "/api/v1/namespaces/default"})
	return p
}

func (c *ControlPlane) newControllerManager(kubeconfig string) *process.Program {
	p := c.newProgram("kube-controller-manager", c.ports.Get(controllerManagerPort), []string{
		"--kubeconfig=" + kubeconfig,
		"--controllers=" + strings.Join(c.cfg.Controllers, ","),
		"--leader-elect=false",
		"--use-service-account-credentials",
		"--bind-address=" + Host,
		fmt.Sprintf("--secure-port=%d", c.ports.Get(controllerManagerPort)),
		"--tls-cert-file=" + c.pki.path("controller-manager-serving.crt"),
		"--tls-private-key-file=" + c.pki.path("controller-manager-serving.key"),
		"--service-account-private-key-file=" + c.pki.path("service-account.key"),
		"--root-ca-file=" + c.pki.path("ca.crt"),
	})
	p.Files = []string{kubeconfig}
	var checks []check
	for _, controller := range c.cfg.Controllers {
		checks = append(checks, check{
			url:  "https://" + c.ports.Address(controllerManagerPort) + "/healthz?verbose",
			says: "[+]" + controller + " ok",
		})
	}
	p.Ready = all(newClient(c.pki.admin, c.pki.ca), checks...)
	return p
}

// check holds when url answers 200 with a body that contains says.
type check struct{ url, says string }

// all returns a function that asks client for every check.
func all(client *http.Client, checks ...check) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, c := range checks {
			if err := process.Probe(ctx, client, c.url, c.says); err != nil {
				return err
			}
		}
		return nil
	}
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
