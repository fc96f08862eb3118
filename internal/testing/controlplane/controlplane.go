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
	"sync"
	"time"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// Host is the address that every program listens on.
const Host = process.Host

// The names of the ports.
const (
	etcdPort              = "etcd"
	apiServerPort         = "apiServer"
	controllerManagerPort = "controllerManager"
)

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
	// APIServerPort, EtcdPort and ControllerManagerPort are TCP ports on Host. 0 means
	// the port that Dir was last used with, or else a free one.
	APIServerPort, EtcdPort, ControllerManagerPort int
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
	ports             *process.Ports
	etcd              *process.Program
	apiServer         *process.Program
	controllerManager *process.Program // nil without controllers
	users             sync.Mutex       // held while files of users are made
}

// Start runs a control plane and returns when it serves requests, the default
// namespace exists and the controllers run. ctx bounds the start only. When it
// fails, nothing that would die with this process is left running.
func Start(ctx context.Context, cfg Config) (*ControlPlane, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		if !cfg.Detached {
			err = errors.Join(err, c.Stop())
		}
		return nil, err
	}
	return c, nil
}

// New prepares what Start needs, with nothing running: directory, keys, ports and
// kubeconfigs. Stop or Close gives the ports back.
func New(cfg Config) (*ControlPlane, error) {
	c, err := prepare(cfg)
	if err != nil {
		return nil, fmt.Errorf("control plane in %s: %w", cfg.Dir, err)
	}
	return c, nil
}

// Start starts what does not run, and returns when all of it is ready.
func (c *ControlPlane) Start(ctx context.Context) error {
	for _, p := range c.Programs() {
		if err := c.run(ctx, p); err != nil {
			return fmt.Errorf("control plane in %s: %w", c.cfg.Dir, err)
		}
	}
	return nil
}

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
	c.ports, err = process.ChoosePorts(filepath.Join(cfg.Dir, "ports.json"), map[string]int{
		etcdPort:              cfg.EtcdPort,
		apiServerPort:         cfg.APIServerPort,
		controllerManagerPort: cfg.ControllerManagerPort,
	})
	if err != nil {
		return nil, err
	}
	if err := c.build(); err != nil {
		return nil, errors.Join(err, c.ports.Release())
	}
	return c, nil
}

// build describes the programs and writes the kubeconfigs that they and the administrator need.
func (c *ControlPlane) build() error {
	if err := c.writeKubeconfig(c.KubeconfigPath(), c.URL(), c.pki.admin); err != nil {
		return err
	}
	c.etcd = c.newEtcd()
	c.apiServer = c.newAPIServer()
	if len(c.cfg.Controllers) > 0 {
		path := filepath.Join(c.cfg.Dir, "kube-controller-manager.kubeconfig")
		if err := c.writeKubeconfig(path, c.URL(), c.pki.controllerManager); err != nil {
			return err
		}
		c.controllerManager = c.newControllerManager(path)
	}
	for _, p := range c.Programs() {
		if err := requireProgram(p.Path); err != nil {
			return err
		}
	}
	return nil
}

// Programs lists what runs, in the order of its start.
func (c *ControlPlane) Programs() []*process.Program {
	all := []*process.Program{c.etcd, c.apiServer}
	if c.controllerManager != nil {
		all = append(all, c.controllerManager)
	}
	return all
}

// run starts p, or takes up the running one, and waits until it is ready.
func (c *ControlPlane) run(ctx context.Context, p *process.Program) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StartTimeout)
	defer cancel()
	if err := p.EnsureStarted(); err != nil {
		return err
	}
	if err := p.WaitReady(ctx); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// Stop ends all programs in order, and kills what does not end in time. The data stays.
func (c *ControlPlane) Stop() error {
	var errs []error
	for _, p := range []*process.Program{c.controllerManager, c.apiServer, c.etcd} {
		if p != nil {
			errs = append(errs, p.Stop())
		}
	}
	return errors.Join(append(errs, c.Close())...)
}

// Close gives up the claim on the ports, and leaves what is detached running.
func (c *ControlPlane) Close() error { return c.ports.Release() }

// KillAPIServer ends kube-apiserver with SIGKILL and returns when it is gone.
func (c *ControlPlane) KillAPIServer() error { return c.apiServer.Kill() }

// StartAPIServer starts kube-apiserver if it does not run and waits until it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error { return c.run(ctx, c.apiServer) }

// KillEtcd ends etcd with SIGKILL and returns when it is gone.
func (c *ControlPlane) KillEtcd() error { return c.etcd.Kill() }

// StartEtcd starts etcd if it does not run and waits until it is healthy.
func (c *ControlPlane) StartEtcd(ctx context.Context) error { return c.run(ctx, c.etcd) }

// URL is the address of the API server.
func (c *ControlPlane) URL() string { return "https://" + c.Address() }

// Address is the address of the API server, host:port, for proxies before it.
func (c *ControlPlane) Address() string { return c.ports.Address(apiServerPort) }
