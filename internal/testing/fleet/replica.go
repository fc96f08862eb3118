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
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/testing/process"
	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// The names of the ports: of each replica, and of the balancer before several.
const (
	hubPort      = "hub"
	healthPort   = "health"
	metricsPort  = "metrics"
	queryPort    = "query"
	balancerPort = "balancer"
)

// account is the manager's service account, as config/default installs it.
const account = "system:serviceaccount:" + Namespace + ":edgesync-controller-manager"

// leaderMetric is 1 in the replica that leads.
const leaderMetric = "leader_election_master_status"

const probeTimeout = 5 * time.Second

// Replica is a manager, one of several perhaps. Beyond its methods those of
// process.Program stop, kill, pause and continue it.
type Replica struct {
	*process.Program
	// Name is that by which status tells the replicas apart.
	Name string
	// APIServer is the URL of a proxy before the API server, for the starts to come. Empty
	// means none. Its host must be localhost or 127.0.0.1.
	APIServer string

	fleet  *Fleet
	suffix string // of the names of its ports
}

// portSuffix tells the ports of a further replica from those of the first.
func portSuffix(number int) string { return fmt.Sprintf("-%d", number) }

// newReplica describes the replica of that number, with ports of these names. The first uses
// the directory of the fleet.
func (f *Fleet) newReplica(number int, ports []string) *Replica {
	r := &Replica{Name: "manager", fleet: f}
	dir := f.options.Dir
	if number > 1 {
		r.suffix = portSuffix(number)
		r.Name += r.suffix
		dir = filepath.Join(dir, r.Name)
	}
	r.Program = &process.Program{
		Path:     filepath.Join(f.options.Bin, "manager"),
		Dir:      dir,
		Detached: f.options.Detached,
		Ready:    r.check,
	}
	for _, name := range ports {
		r.Ports = append(r.Ports, f.ports.Get(name+r.suffix))
	}
	return r
}

// Start starts the replica unless it runs, and returns when its hub serves nodes. args
// are appended to Options.ManagerArgs for this start.
func (r *Replica) Start(ctx context.Context, args ...string) error {
	kubeconfig, err := r.kubeconfig()
	if err != nil {
		return err
	}
	r.Files = []string{kubeconfig}
	r.Args = slices.Concat([]string{
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + Namespace,
		"--replica-name=" + r.Name,
		fmt.Sprintf("--leader-elect=%t", len(r.fleet.replicas) > 1),
		"--hub-bind-address=" + r.HubAddress(),
		"--hub-public-names=localhost," + process.Host,
		"--health-probe-bind-address=" + r.address(healthPort),
		"--metrics-bind-address=" + r.address(metricsPort),
		"--metrics-secure=false", // loopback only
	}, r.queryArgs(), r.fleet.options.ManagerArgs, args)
	return r.fleet.run(ctx, r.Program)
}

func (r *Replica) queryArgs() []string {
	if !r.fleet.options.Query {
		return nil
	}
	return []string{"--query-bind-address=" + r.address(queryPort)}
}

func (r *Replica) kubeconfig() (path string, err error) {
	c := r.fleet.controlPlane
	server := cmp.Or(r.APIServer, c.URL())
	return c.UserKubeconfigFor(server, account, "system:serviceaccounts", "system:serviceaccounts:"+Namespace, "system:authenticated")
}

func (r *Replica) address(port string) string { return r.fleet.ports.Address(port + r.suffix) }

// HubAddress is the address, host:port, that the hub of this replica listens on.
func (r *Replica) HubAddress() string { return r.address(hubPort) }

// MetricsURL is where the replica serves its metrics, to everybody on this machine.
func (r *Replica) MetricsURL() string { return "http://" + r.address(metricsPort) + "/metrics" }

// Metrics reads the metrics of the replica.
func (r *Replica) Metrics(ctx context.Context) (promtext.Series, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	series, err := promtext.Scrape(ctx, metricsClient, r.MetricsURL())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	return series, nil
}

// Leads says whether the replica is the one that writes shared status.
func (r *Replica) Leads(ctx context.Context) (bool, error) {
	series, err := r.Metrics(ctx)
	return series.Sum(leaderMetric) == 1, err
}

// check asks whether the replica runs and its hub serves nodes: the port is open before
// it does, but no handshake is answered.
func (r *Replica) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	if err := process.Probe(ctx, &http.Client{Transport: transport}, "http://"+r.address(healthPort)+"/readyz", ""); err != nil {
		return err
	}
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // agents verify it, from their first contact on
	conn, err := dialer.DialContext(ctx, "tcp", r.HubAddress())
	if err != nil {
		return err
	}
	return conn.Close()
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
