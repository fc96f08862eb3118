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

package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// The names of the manager's ports.
const (
	hubPort     = "hub"
	healthPort  = "health"
	metricsPort = "metrics"
)

// account is the manager's service account, as config/default installs it.
const account = "system:serviceaccount:" + Namespace + ":edgesync-controller-manager"

const probeTimeout = 5 * time.Second

func (f *Fleet) newManager() *process.Program {
	p := &process.Program{
		Path:     filepath.Join(f.options.Bin, "manager"),
		Dir:      f.options.Dir,
		Detached: f.options.Detached,
		Ready:    f.checkManager,
	}
	for _, name := range []string{hubPort, healthPort, metricsPort} {
		p.Ports = append(p.Ports, f.ports.Get(name))
	}
	return p
}

// Manager returns the manager, to stop, kill or pause it.
func (f *Fleet) Manager() *process.Program { return f.manager }

// StartManager starts the manager if it does not run, and returns when the hub serves
// nodes. args are appended to Options.ManagerArgs for this start.
func (f *Fleet) StartManager(ctx context.Context, args ...string) error {
	kubeconfig, err := f.controlPlane.UserKubeconfig(account,
		"system:serviceaccounts", "system:serviceaccounts:"+Namespace, "system:authenticated")
	if err != nil {
		return err
	}
	f.manager.Files = []string{kubeconfig}
	f.manager.Args = slices.Concat([]string{
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + Namespace,
		"--replica-name=manager",
		"--hub-bind-address=" + f.ports.Address(hubPort),
		"--hub-public-names=localhost," + process.Host,
		"--health-probe-bind-address=" + f.ports.Address(healthPort),
		"--metrics-bind-address=" + f.ports.Address(metricsPort),
		"--metrics-secure=false", // loopback only
	}, f.options.ManagerArgs, args)
	return f.run(ctx, f.manager)
}

// run starts p unless it runs, and waits until it is ready.
func (f *Fleet) run(ctx context.Context, p *process.Program) error {
	if err := p.EnsureStarted(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.options.StartTimeout)
	defer cancel()
	if err := p.WaitReady(ctx); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// StopManager ends the manager and returns when it is gone.
func (f *Fleet) StopManager() error { return f.manager.Stop() }

// KillManager ends the manager with SIGKILL and returns when it is gone.
func (f *Fleet) KillManager() error { return f.manager.Kill() }

// HubURL is the address that agents dial.
func (f *Fleet) HubURL() string { return "https://" + f.HubAddress() }

// HubAddress is the address, host:port, that the hub listens on, for proxies before it.
func (f *Fleet) HubAddress() string { return f.ports.Address(hubPort) }

// MetricsURL is where the manager serves its metrics, to everybody on this machine.
func (f *Fleet) MetricsURL() string { return "http://" + f.ports.Address(metricsPort) + "/metrics" }

// checkManager asks whether the manager runs and its hub serves nodes: the port is open
// before it does, but no handshake is answered.
func (f *Fleet) checkManager(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	if err := process.Probe(ctx, &http.Client{Transport: transport}, "http://"+f.ports.Address(healthPort)+"/readyz", ""); err != nil {
		return err
	}
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // agents verify it, from their first contact on
	conn, err := dialer.DialContext(ctx, "tcp", f.HubAddress())
	if err != nil {
		return err
	}
	return conn.Close()
}
