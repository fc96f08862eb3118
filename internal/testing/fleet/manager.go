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
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// metricsClient keeps no connection open.
var metricsClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// prepareReplicas chooses the ports and starts the balancer.
func (f *Fleet) prepareReplicas() error {
	o := &f.options
	o.Replicas = max(o.Replicas, 1)
	wanted := map[string]int{hubPort: o.HubPort, healthPort: o.HealthPort, metricsPort: o.MetricsPort}
	if o.Replicas > 1 {
		wanted[balancerPort] = 0
	}
	names := []string{hubPort, healthPort, metricsPort}
	if o.Query {
		wanted[queryPort] = o.QueryPort
		names = append(names, queryPort)
	}
	for number := 2; number <= o.Replicas; number++ {
		for _, port := range names {
			wanted[port+portSuffix(number)] = 0
		}
	}
	var err error
	if f.ports, err = process.ChoosePorts(filepath.Join(o.Dir, "manager-ports.json"), wanted); err != nil {
		return err
	}
	for number := range o.Replicas {
		r := f.newReplica(number+1, names)
		if err := os.MkdirAll(r.Dir, 0o700); err != nil {
			return err
		}
		f.replicas = append(f.replicas, r)
	}
	return f.startBalancer()
}

func (f *Fleet) startBalancer() (err error) {
	if len(f.replicas) == 1 {
		return nil
	}
	var hubs []string
	for _, r := range f.replicas {
		hubs = append(hubs, r.HubAddress())
	}
	f.balancer, err = startBalancer(f.ports.Address(balancerPort), hubs)
	return err
}

// Replicas returns the managers.
func (f *Fleet) Replicas() []*Replica { return slices.Clone(f.replicas) }

// Manager returns the manager, the first of several, to stop, kill or pause it.
func (f *Fleet) Manager() *process.Program { return f.replicas[0].Program }

// Leader returns the replica that writes shared status. At times there is none, and one
// that has lost the office may take a moment to know.
func (f *Fleet) Leader(ctx context.Context) (*Replica, error) {
	var problems []error
	for _, r := range f.replicas {
		leads, err := r.Leads(ctx)
		if leads {
			return r, nil
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("no replica leads: %w", errors.Join(problems...))
}

// StartManager starts the managers that do not run, and returns when their hubs serve
// nodes. args are appended to Options.ManagerArgs for this start.
func (f *Fleet) StartManager(ctx context.Context, args ...string) error {
	starts, ctx := errgroup.WithContext(ctx)
	for _, r := range f.replicas {
		starts.Go(func() error { return r.Start(ctx, args...) })
	}
	return starts.Wait()
}

// StopManager ends the managers and returns when they are gone.
func (f *Fleet) StopManager() error {
	var stops errgroup.Group
	for _, r := range f.replicas {
		stops.Go(r.Stop)
	}
	return stops.Wait()
}

// KillManager ends the managers with SIGKILL and returns when they are gone.
func (f *Fleet) KillManager() error {
	var problems []error
	for _, r := range f.replicas {
		problems = append(problems, r.Kill())
	}
	return errors.Join(problems...)
}

// HubURL is the address that agents dial.
func (f *Fleet) HubURL() string { return "https://" + f.HubAddress() }

// HubAddress is the address, host:port, at which nodes find the hub: that of the balancer
// if there are several managers.
func (f *Fleet) HubAddress() string {
	if len(f.replicas) > 1 {
		return f.ports.Address(balancerPort)
	}
	return f.replicas[0].HubAddress()
}

// MetricsURL is where the manager, the first of several, serves its metrics, to everybody
// on this machine.
func (f *Fleet) MetricsURL() string { return f.replicas[0].MetricsURL() }
