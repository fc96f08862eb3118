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
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// patience is how long a benchmark waits for what must happen.
const patience = 2 * time.Minute

// bench is what benchmarks work with.
type bench struct {
	*report
	fleet  *fleet.Fleet
	client client.Client
	dir    string
	// nodes are those that crowds are made of, as far as they exist.
	nodes []pki.Node
	// own is how many of them have objects of their own.
	own int
	// mostIdle bounds the sessions of the idle benchmark.
	mostIdle int
}

// runGroup runs benchmarks on a fleet of their own, with the disk's real fsync.
func (o *options) runGroup(ctx context.Context, benchmarks []benchmark, report *report) (err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	progress("starting the control plane and the manager in %s", dir)
	var arguments []string
	if o.pprof != "" {
		arguments = append(arguments, "--pprof-bind-address="+o.pprof)
	}
	f, err := fleet.Start(ctx, fleet.Options{Dir: dir, ManagerArgs: arguments})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Stop()) }()
	c, err := f.Client()
	if err != nil {
		return err
	}
	if err := report.describeFleet(f, dir); err != nil {
		return err
	}
	b := &bench{report: report, fleet: f, client: c, dir: dir, mostIdle: o.mostIdle}
	for _, benchmark := range benchmarks {
		if err := benchmark.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", benchmark.name, err)
		}
	}
	return nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// count is how many of something a benchmark takes.
func (b *bench) count(full, short int) int {
	if b.short {
		return short
	}
	return full
}

// scale is how many nodes or objects stand for size.
func (b *bench) scale(size int) int { return b.count(size, (size+99)/100) }

// startAgent has the node name, with the label bench=<value>, join and run.
func (b *bench) startAgent(ctx context.Context, name, label string, options fleet.AgentOptions) (*fleet.Agent, error) {
	agent, err := b.joinAgent(ctx, name, label, options)
	if err != nil {
		return nil, err
	}
	return agent, agent.Start(ctx)
}

func (b *bench) joinAgent(ctx context.Context, name, label string, options fleet.AgentOptions) (*fleet.Agent, error) {
	options.Labels = map[string]string{"bench": label}
	return b.fleet.NewAgent(ctx, name, options)
}

// createSync makes a namespace, whose ConfigMaps with the label bench=<name> belong on the
// nodes with this label.
func (b *bench) createSync(ctx context.Context, name string) error {
	if err := b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		return err
	}
	return b.client.Create(ctx, &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "all"},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{
				APIVersion: "v1", Kind: "ConfigMap",
				LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{"bench": name}},
			},
			NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"bench": name}},
		},
	})
}

// awaitStatus waits until the status of the ObjectSync made by createSync is as wanted.
func (b *bench) awaitStatus(ctx context.Context, name string, wanted func(syncv1alpha1.SyncStatus) bool) error {
	var last syncv1alpha1.SyncStatus
	err := await(ctx, 50*time.Millisecond, func() (bool, error) {
		var sync syncv1alpha1.ObjectSync
		err := b.client.Get(ctx, client.ObjectKey{Namespace: name, Name: "all"}, &sync)
		last = sync.Status
		return wanted(last), err
	})
	if err != nil {
		return fmt.Errorf("the ObjectSync in %s: %w; its last status: %+v", name, err, last)
	}
	return nil
}

// awaitSynced waits until that many nodes have that many objects.
func (b *bench) awaitSynced(ctx context.Context, name string, nodes, objects int) error {
	return b.awaitStatus(ctx, name, func(s syncv1alpha1.SyncStatus) bool {
		return int(s.Synced) == nodes && int(s.Pending) == 0 && int(s.Objects) == objects
	})
}

// await asks again and again whether something is so.
func await(ctx context.Context, period time.Duration, holds func() (bool, error)) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		if ok, err := holds(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("not within %s", patience)
		case <-ticker.C:
		}
	}
}

// countFiles counts the objects of the ConfigMaps of a namespace in an agent's directory.
func countFiles(agent *fleet.Agent, namespace string) (int, error) {
	files, err := filepath.Glob(filepath.Join(agent.ObjectsDir(), namespace, "configmaps", "*.yaml"))
	return len(files), err
}
