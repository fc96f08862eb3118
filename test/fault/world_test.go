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

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
	"github.com/edgesync/edgesync/internal/testing/process"
)

const (
	// restartPause is before another try to start what has not started.
	restartPause = time.Second
	agentCount   = 8
	// smallDisks is how many agents have their state on a file system that can be filled.
	smallDisks = 3
)

// member is a program of the fleet with the link that it depends on: that of an agent to
// the hub, that of a replica to the API server.
type member struct {
	*process.Program
	name  string
	start func(context.Context) error
	link  *linkproxy.Proxy
	// clock is the file that shifts the wall clock; empty if that cannot be done.
	clock string

	running sync.Mutex // held by the fault that the program suffers
	linked  sync.Mutex // held by the fault that the link suffers
}

// node is an agent.
type node struct {
	member
	agent     *fleet.Agent
	smallDisk bool
	watch     *watch
}

// replica is a manager.
type replica struct {
	member
	manager *fleet.Replica
}

// world is all that is disturbed.
type world struct {
	*WithT
	t        *testing.T
	seed     uint64
	dir      string
	bin      string
	fleet    *fleet.Fleet
	client   client.Client
	history  *history
	nodes    []*node
	replicas []*replica
	cluster  sync.Mutex   // held by the fault that the control plane suffers
	changes  atomic.Int64 // made by work
	contents int          // that work has made up so far: each has a number of its own
	alarms   atomic.Int32
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{WithT: NewWithT(t), t: t, seed: seed}
	var err error
	w.dir, err = os.MkdirTemp("", "fault-") // the path of t.TempDir is too long for the agents' sockets
	w.Expect(err).NotTo(HaveOccurred())
	w.history, err = newHistory(filepath.Join(w.dir, "history.log"))
	w.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		w.Expect(w.history.file.Close()).To(Succeed())
		if t.Failed() {
			t.Logf("seed %d; the history:\n%s", seed, w.history)
		}
		if t.Failed() || *keep {
			t.Logf("all logs are kept in %s", w.dir)
			return
		}
		w.Expect(os.RemoveAll(w.dir)).To(Succeed())
	})
	if *withClocks {
		w.bin = buildWithClocks(t, w.dir)
	} else {
		t.Log("no clock jumps: that takes -clocks, and minutes to build the programs with another package time")
	}
	return w
}

// alarm reports something that must never happen, from any goroutine.
func (w *world) alarm(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.history.note("WRONG: %s", text)
	if w.alarms.Add(1) <= 20 { // the history has them all
		w.t.Error(text)
	}
}

// start runs the fleet with the objects that every node is to hold throughout.
func (w *world) start() {
	ctx := w.t.Context()
	var err error
	w.fleet, err = fleet.New(fleet.Options{
		Dir: w.dir, Bin: w.bin, Replicas: *replicaCount,
		ManagerArgs:  []string{"--hub-heartbeat=2s"}, // a link that went silent is noticed after 5 s
		ControlPlane: controlplane.Config{UnsafeNoFsync: true},
	})
	w.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() { w.Expect(w.fleet.Stop()).To(Succeed()) })
	for _, r := range w.fleet.Replicas() {
		w.addReplica(r)
	}
	w.Expect(w.fleet.Start(ctx)).To(Succeed())
	w.client, err = w.fleet.Client()
	w.Expect(err).NotTo(HaveOccurred())
	root, err := controlplane.ModuleRoot()
	w.Expect(err).NotTo(HaveOccurred())
	_, err = w.fleet.Kubectl(ctx, "apply", "-f", filepath.Join(root, "config", "samples", "allow_secrets.yaml"))
	w.Expect(err).NotTo(HaveOccurred())
	w.createSteady()
	for i := range agentCount {
		w.addNode(i)
	}
	w.becomesQuiet("at the start")
	for _, n := range w.nodes {
		n.watch = w.startWatch(n)
	}
}

func (w *world) addReplica(r *fleet.Replica) {
	link, err := linkproxy.Start(w.fleet.ControlPlane().Address())
	w.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() { w.Expect(link.Close()).To(Succeed()) })
	r.APIServer = "https://" + link.Addr()
	added := &replica{manager: r}
	added.member = member{
		Program: r.Program, name: r.Name, link: link, clock: w.clockOf(r.Program, r.Name),
		start: func(ctx context.Context) error { return r.Start(ctx) },
	}
	r.KeepLog = true
	w.replicas = append(w.replicas, added)
}

// addNode makes a node with a zone, in one of two rings of rollouts.
func (w *world) addNode(i int) {
	ctx := w.t.Context()
	link, err := linkproxy.Start(w.fleet.HubAddress())
	w.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() { w.Expect(link.Close()).To(Succeed()) })
	name := fmt.Sprintf("edge-%d", i)
	n := &node{smallDisk: i < smallDisks && w.mountSmall(filepath.Join(w.dir, name, "state"))}
	n.agent, err = w.fleet.NewAgent(ctx, name, fleet.AgentOptions{
		HubURL:    "https://" + link.Addr(),
		Labels:    map[string]string{"fleet": "fault", "zone": zones[i%len(zones)], "ring": []string{"canary", "others"}[min(i/2, 1)]},
		ExtraArgs: []string{"--config=" + w.agentConfig(), "--drift-interval=5s"},
	})
	w.Expect(err).NotTo(HaveOccurred())
	n.member = member{Program: n.agent.Program, name: name, link: link, start: n.agent.Start, clock: w.clockOf(n.agent.Program, name)}
	n.KeepLog, n.Env = true, append(n.Env, "GOTRACEBACK=all")
	w.Expect(n.start(ctx)).To(Succeed())
	w.nodes = append(w.nodes, n)
}

// agentConfig is a file that has agents come back soon.
func (w *world) agentConfig() string {
	path := filepath.Join(w.dir, "agent.yaml")
	w.Expect(os.WriteFile(path, []byte("maxReconnectDelay: 1s\n"), 0o600)).To(Succeed())
	return path
}

// members are all programs but the control plane's.
func (w *world) members() []*member {
	var all []*member
	for _, r := range w.replicas {
		all = append(all, &r.member)
	}
	for _, n := range w.nodes {
		all = append(all, &n.member)
	}
	return all
}

// supervise starts again what has ended by itself, as a kubelet or systemd would: a
// replica does when it can no longer be sure to lead. An agent must not.
func (w *world) supervise(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, m := range w.members() {
			if m.running.TryLock() {
				w.revive(ctx, m)
				m.running.Unlock()
			}
		}
	}
}

func (w *world) revive(ctx context.Context, m *member) {
	if m.PID() != 0 {
		return
	}
	if m.Name() == "edge-agent" {
		w.alarm("%s has ended by itself: %s", m.name, m.LogTail())
	}
	w.history.note("%s has ended by itself: %.600s", m.name, m.LogTail())
	w.startAgain(ctx, m)
}

// startAgain starts a member, however often that fails while others are disturbed.
func (w *world) startAgain(ctx context.Context, m *member) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, time.Minute)
		err := m.start(attempt)
		cancel()
		if err == nil {
			return
		}
		w.history.note("%s does not start: %.600v", m.name, err)
		if m.Name() == "edge-agent" && !errors.Is(err, context.DeadlineExceeded) {
			w.alarm("%s does not start: %v", m.name, err)
		}
		hold(ctx, restartPause)
	}
}
