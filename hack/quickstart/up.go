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

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/process"
)

var (
	nodeNames  = []string{"edge-1", "edge-2"}
	nodeLabels = map[string]string{"site": "quickstart"}
)

// quickstart is a fleet with its two agents.
type quickstart struct {
	*progress
	dir    string
	record record
	fleet  *fleet.Fleet
	agents []*fleet.Agent
	pids   map[string]int // of what was found or started so far, by program
}

func up(ctx context.Context, dir string, wanted ports, out io.Writer) error {
	q := &quickstart{progress: &progress{out: out, start: time.Now()}, dir: dir, pids: map[string]int{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if q.record, err = openDir(dir); err != nil {
		return err
	}
	wanted.complete(q.record.Ports)
	q.record.Ports = wanted
	if err := q.record.save(dir); err != nil {
		return err
	}
	return wanted.explain(q.up(ctx))
}

func (q *quickstart) up(ctx context.Context) error {
	var err error
	if q.fleet, err = newFleet(q.dir, q.record.Ports); err != nil {
		return err
	}
	defer func() { _ = q.fleet.Close() }()
	for _, p := range q.fleet.Programs() {
		if err := p.CheckPorts(); err != nil {
			return err
		}
		q.pids[p.LogPath()] = p.PID()
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"control plane: etcd, kube-apiserver, kube-controller-manager", q.fleet.ControlPlane().Start},
		{"CRDs, roles and policies: config/local", q.fleet.Install},
		{"manager", func(ctx context.Context) error { return q.fleet.StartManager(ctx) }},
		{"query API: what nodes hold", q.fleet.WaitQuery},
		{"edge agents: " + strings.Join(nodeNames, ", "), q.startAgents},
	} {
		if err := q.step(step.name, func() error { return step.do(ctx) }); err != nil {
			return err
		}
		q.sayStarted()
	}
	if err := q.deliverSample(ctx); err != nil {
		return err
	}
	q.say("done")
	return q.printNextSteps(ctx)
}

func newFleet(dir string, p ports) (*fleet.Fleet, error) {
	return fleet.New(fleet.Options{
		Dir: dir,
		ControlPlane: controlplane.Config{
			APIServerPort:         p.APIServer,
			EtcdPort:              p.Etcd,
			ControllerManagerPort: p.ControllerManager,
		},
		HubPort:     p.Hub,
		HealthPort:  p.Health,
		MetricsPort: p.Metrics,
		Query:       true,
		QueryPort:   p.Query,
		Detached:    true,
	})
}

func (q *quickstart) startAgents(ctx context.Context) error {
	for _, name := range nodeNames {
		a, err := q.fleet.NewAgent(ctx, name, fleet.AgentOptions{Labels: nodeLabels})
		if err != nil {
			return err
		}
		q.pids[a.LogPath()] = a.PID()
		if err := a.Start(ctx); err != nil {
			return err
		}
		q.agents = append(q.agents, a)
	}
	for _, a := range q.agents {
		if err := waitConnected(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// sayStarted tells which programs run that did not before.
func (q *quickstart) sayStarted() {
	for _, p := range q.fleet.Programs() {
		if pid := p.PID(); pid != q.pids[p.LogPath()] {
			q.pids[p.LogPath()] = pid
			q.say("  started %s, pid %d", q.label(p), pid)
		}
	}
}

// label names a program so that the agents can be told apart.
func (q *quickstart) label(p *process.Program) string {
	if p.Dir == q.dir {
		return p.Name()
	}
	return p.Name() + " " + filepath.Base(p.Dir)
}

func waitConnected(ctx context.Context, a *fleet.Agent) error {
	var status fleet.AgentStatus
	err := poll(ctx, func() (done bool, err error) {
		status, err = a.Status(ctx)
		return status.Link.Connected, err
	})
	if err != nil {
		return fmt.Errorf("agent %s has not connected: %w (%s); %s", a.NodeName, err, status.Link.LastError, a.LogTail())
	}
	return nil
}

const (
	pollInterval = 10 * time.Millisecond
	pollTimeout  = 2 * time.Minute
)

// poll calls check until it is done or fails.
func poll(ctx context.Context, check func() (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if done, err := check(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
