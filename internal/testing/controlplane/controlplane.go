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

// Package controlplane runs a real etcd, kube-apiserver and
// kube-controller-manager as child processes, for end-to-end tests, benchmarks
// and the quickstart. Unlike envtest it can kill and restart each of them, keeps
// its data and identity in a directory that a later run takes up again, and can
// leave the processes running when the program ends.
//
// It serves on loopback only, and it needs Linux (pidfd, parent-death signals).
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Host is the address that every program listens on.
const Host = "127.0.0.1"

// DefaultControllers are those that objects without workloads need: deletion of
// namespaces, owner references, service accounts with their CA bundle, aggregated
// ClusterRoles and the type check of ValidatingAdmissionPolicies.
var DefaultControllers = []string{
	"namespace-controller",
	"garbage-collector-controller",
	"serviceaccount-controller",
	"root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller",
	"validatingadmissionpolicy-status-controller",
}

// Config says what to run and where.
type Config struct {
	// Assets is the directory that holds the programs. Empty means what Assets returns.
	Assets string
	// Dir keeps data, certificates, logs and the kubeconfig. It is created with
	// mode 0700. At most one control plane may use it at a time.
	Dir string
	// APIServerPort and EtcdPort are TCP ports on Host. 0 means the port that Dir
	// was last used with, or else a free one.
	APIServerPort, EtcdPort int
	// Controllers are the controllers to run in kube-controller-manager, each by
	// its full name. With none it is not started, and the ServiceAccount admission
	// plugin is off, because it would refuse every pod.
	Controllers []string
	// ExtraAPIServerArgs are appended, so they win over the defaults.
	ExtraAPIServerArgs []string
	// UnsafeNoFsync makes etcd faster and lets a crash of the machine (not of a
	// process) lose data.
	UnsafeNoFsync bool
	// Detached leaves the processes running when this one ends. Start then takes
	// up those of an earlier Start on the same Dir and starts only what has died
	// or would run with other arguments. Otherwise they die with this process.
	Detached bool
	// StartTimeout bounds the wait for each program to become ready. 0 means 2 minutes.
	StartTimeout time.Duration
}

// ControlPlane is a running control plane. The methods that start, stop or kill
// must not be called concurrently; the others may be called at any time.
type ControlPlane struct {
	cfg               Config
	pki               *pki
	ports             *ports
	etcd              *program
	apiServer         *program
	controllerManager *program // nil without controllers
}

// Start runs a control plane and returns when it serves requests, the default
// namespace exists and the controllers run. ctx bounds the start only. When it
// fails, nothing that would die with this process is left running.
func Start(ctx context.Context, cfg Config) (*ControlPlane, error) {
	c, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("control plane in %s: %w", cfg.Dir, err)
	}
	for _, p := range c.programs() {
		if err := c.run(ctx, p); err != nil {
			if !cfg.Detached {
				err = errors.Join(err, c.Stop())
			}
			return nil, fmt.Errorf("control plane in %s: %w", cfg.Dir, err)
		}
	}
	return c, nil
}

// prepare does all that needs no process: paths, keys, ports, the kubeconfig.
func prepare(cfg Config) (*ControlPlane, error) {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = 2 * time.Minute
	}
	var err error
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	if cfg.Assets == "" {
		if cfg.Assets, err = Assets(); err != nil {
			return nil, err
		}
	}
	if cfg.Assets, err = filepath.Abs(cfg.Assets); err != nil {
		return nil, err
	}
	c := &ControlPlane{cfg: cfg}
	if c.pki, err = loadPKI(filepath.Join(cfg.Dir, "pki")); err != nil {
		return nil, err
	}
	if c.ports, err = choosePorts(filepath.Join(cfg.Dir, "ports.json"), cfg.APIServerPort, cfg.EtcdPort); err != nil {
		return nil, err
	}
	if err := c.build(); err != nil {
		return nil, errors.Join(err, c.ports.release())
	}
	return c, nil
}

// build describes the programs and writes the kubeconfigs that they and the administrator need.
func (c *ControlPlane) build() error {
	if err := c.writeKubeconfig(c.KubeconfigPath(), c.pki.admin); err != nil {
		return err
	}
	c.etcd = c.newEtcd()
	c.apiServer = c.newAPIServer()
	if len(c.cfg.Controllers) > 0 {
		path := filepath.Join(c.cfg.Dir, "kube-controller-manager.kubeconfig")
		if err := c.writeKubeconfig(path, c.pki.controllerManager); err != nil {
			return err
		}
		c.controllerManager = c.newControllerManager(path)
	}
	for _, p := range c.programs() {
		if err := requireProgram(p.path); err != nil {
			return err
		}
	}
	return nil
}

// programs lists what runs, in the order of its start.
func (c *ControlPlane) programs() []*program {
	all := []*program{c.etcd, c.apiServer}
	if c.controllerManager != nil {
		all = append(all, c.controllerManager)
	}
	return all
}

// run starts p, or takes up the running one, and waits until it is ready.
func (c *ControlPlane) run(ctx context.Context, p *program) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StartTimeout)
	defer cancel()
	if err := p.ensureStarted(); err != nil {
		return err
	}
	if err := p.waitReady(ctx); err != nil {
		return errors.Join(err, p.kill())
	}
	return nil
}

// Stop ends all programs in order, and kills what does not end in time. The data stays.
func (c *ControlPlane) Stop() error {
	var errs []error
	for _, p := range []*program{c.controllerManager, c.apiServer, c.etcd} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(append(errs, c.ports.release())...)
}

// KillAPIServer ends kube-apiserver with SIGKILL and returns when it is gone.
func (c *ControlPlane) KillAPIServer() error { return c.apiServer.kill() }

// StartAPIServer starts kube-apiserver if it does not run and waits until it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error { return c.run(ctx, c.apiServer) }

// KillEtcd ends etcd with SIGKILL and returns when it is gone.
func (c *ControlPlane) KillEtcd() error { return c.etcd.kill() }

// StartEtcd starts etcd if it does not run and waits until it is healthy.
func (c *ControlPlane) StartEtcd(ctx context.Context) error { return c.run(ctx, c.etcd) }

// URL is the address of the API server.
func (c *ControlPlane) URL() string { return fmt.Sprintf("https://%s:%d", Host, c.ports.APIServer) }
