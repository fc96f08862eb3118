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

// Package fleet runs all of edgesync on this machine, as real processes: a control
// plane, one manager or several behind one address, each with the rights of its service
// account and no more, and agents that have joined with a token. End-to-end tests,
// benchmarks and the quickstart use it.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/process"
)

// Namespace is that of the manager.
const Namespace = "edgesync-system"

// Options say what to run and where. The zero value of all but Dir will do.
type Options struct {
	// Dir keeps everything: data, keys, logs, the administrator's kubeconfig, and a
	// directory for each agent. It is created with mode 0700. Its path must be short
	// enough for the sockets of the agents: below 70 bytes.
	Dir string
	// Bin is the directory of manager and edge-agent. Empty means $EDGESYNC_BIN, or
	// bin of the Go module that the working directory lies in.
	Bin string
	// ControlPlane is the configuration of the control plane but for Dir and Detached.
	// No Controllers means controlplane.DefaultControllers.
	ControlPlane controlplane.Config
	// Replicas is how many managers there are. 0 means one. Agents reach several through a
	// load balancer, which is part of this process: Detached and several do not go together.
	Replicas int
	// HubPort, HealthPort and MetricsPort are the TCP ports of the first manager. 0 means
	// the port that Dir was last used with, or else a free one.
	HubPort, HealthPort, MetricsPort int
	// Query has the managers serve the query API, to the API server as well: it asks the first.
	Query bool
	// QueryPort is the TCP port of that of the first manager, as HubPort is of its hub.
	QueryPort int
	// ManagerArgs are appended to the arguments of every manager, so they win.
	ManagerArgs []string
	// Detached leaves the processes running when this one ends, and takes up those
	// that an earlier process has left running. Otherwise they die with this process.
	Detached bool
	// StartTimeout bounds the wait for each program to become ready. 0 means 2 minutes.
	StartTimeout time.Duration
}

// Fleet is a control plane, managers and agents. Different agents, and different
// replicas once all have been started, may be used concurrently; otherwise what starts
// and stops programs must not be.
type Fleet struct {
	options      Options
	root         string // of the source tree
	controlPlane *controlplane.ControlPlane
	ports        *process.Ports
	replicas     []*Replica
	balancer     *balancer // nil before a single replica
	http         *http.Client
	client       client.Client

	mu     sync.Mutex
	agents []*Agent
}

// Start runs a control plane with everything of edgesync installed, and the managers.
// It returns when their hubs serve nodes. ctx bounds the start only. When it fails,
// nothing that would die with this process is left running.
func Start(ctx context.Context, options Options) (*Fleet, error) {
	f, err := New(options)
	if err != nil {
		return nil, err
	}
	if err := f.Start(ctx); err != nil {
		if !options.Detached {
			err = errors.Join(err, f.Stop())
		}
		return nil, err
	}
	return f, nil
}

// Start starts what New has prepared.
func (f *Fleet) Start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		f.controlPlane.Start,
		f.Install,
		func(ctx context.Context) error { return f.StartManager(ctx) },
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// New prepares what Start needs and starts nothing.
func New(options Options) (*Fleet, error) {
	f := &Fleet{options: options}
	if err := f.prepare(); err != nil {
		return nil, fmt.Errorf("fleet in %s: %w", options.Dir, errors.Join(err, f.Close()))
	}
	return f, nil
}

func (f *Fleet) prepare() error {
	var err error
	if f.root, err = controlplane.ModuleRoot(); err != nil {
		return err
	}
	o := &f.options
	o.StartTimeout = cmp.Or(o.StartTimeout, 2*time.Minute)
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if o.Bin, err = bin(o.Bin, f.root); err != nil {
		return err
	}
	if o.ControlPlane.Assets == "" {
		if o.ControlPlane.Assets, err = controlplane.Assets(); err != nil {
			return err
		}
	}
	if o.ControlPlane.Controllers == nil {
		o.ControlPlane.Controllers = controlplane.DefaultControllers
	}
	o.ControlPlane.Dir, o.ControlPlane.Detached, o.ControlPlane.StartTimeout = o.Dir, o.Detached, o.StartTimeout
	if f.controlPlane, err = controlplane.New(o.ControlPlane); err != nil {
		return err
	}
	return f.prepareReplicas()
}

// bin returns the absolute path of the directory of edgesync's binaries.
func bin(dir, root string) (string, error) {
	dir, err := filepath.Abs(cmp.Or(dir, os.Getenv("EDGESYNC_BIN"), filepath.Join(root, "bin")))
	if err != nil {
		return "", err
	}
	for _, name := range []string{"manager", "edge-agent"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%w: build it with `make build`, or set EDGESYNC_BIN to a directory that has it", err)
		}
	}
	return dir, nil
}

// Stop ends all programs in order, and kills what does not end in time. The data stays.
func (f *Fleet) Stop() error {
	var errs []error
	f.mu.Lock()
	for _, a := range f.agents {
		errs = append(errs, a.Stop())
	}
	f.mu.Unlock()
	errs = append(errs, f.StopManager())
	if f.controlPlane != nil {
		errs = append(errs, f.controlPlane.Stop())
	}
	return errors.Join(append(errs, f.Close())...)
}

// Close gives up the client and the claim on the ports, and leaves what is detached running.
func (f *Fleet) Close() error {
	var errs []error
	if f.http != nil {
		f.http.CloseIdleConnections()
	}
	if f.balancer != nil {
		f.balancer.stop()
	}
	if f.controlPlane != nil {
		errs = append(errs, f.controlPlane.Close())
	}
	if f.ports != nil {
		errs = append(errs, f.ports.Release())
	}
	return errors.Join(errs...)
}

// Programs lists what the fleet consists of, in the order of its start.
func (f *Fleet) Programs() []*process.Program {
	all := f.controlPlane.Programs()
	for _, r := range f.replicas {
		all = append(all, r.Program)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.agents {
		all = append(all, a.Program)
	}
	return all
}

// ControlPlane returns the control plane, to kill and start parts of it.
func (f *Fleet) ControlPlane() *controlplane.ControlPlane { return f.controlPlane }

// RESTConfig returns a new administrator's configuration.
func (f *Fleet) RESTConfig() *rest.Config { return f.controlPlane.RESTConfig() }
