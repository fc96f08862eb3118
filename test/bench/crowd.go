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
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
	"github.com/edgesync/edgesync/internal/protocol/pb"
	"github.com/edgesync/edgesync/internal/testing/agentsim/swarm"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// crowdPeriod is how often a crowd is asked where it stands.
const crowdPeriod = 20 * time.Millisecond

// crowd is simulated agents in a process of their own.
type crowd struct {
	*swarm.Client
	size int
}

// crowdOptions say what a crowd is like.
type crowdOptions struct {
	// fsync has the agents write what they get to a file, one for all of them.
	fsync bool
	// hub is where they connect; the hub's own address if empty.
	hub string
	// only are the encodings beyond JSON that they declare; all if nil.
	only []pb.Encoding
}

// startCrowd makes agents that hold nothing and are not connected yet: for the same
// nodes, the first size of all, every time.
func (b *bench) startCrowd(ctx context.Context, size int, options crowdOptions) (*crowd, error) {
	if err := b.createNodes(ctx, size); err != nil {
		return nil, err
	}
	ca, err := castore.Load(ctx, b.client, fleet.Namespace, time.Now())
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	setup := swarm.Setup{
		Hub: cmp.Or(options.hub, b.fleet.HubAddress()), CertPEM: ca.CertificatePEM(), KeyPEM: key, Nodes: b.nodes[:size],
		Encodings: options.only,
	}
	if options.only == nil {
		setup.Encodings = []pb.Encoding{pb.Encoding_ENCODING_ZSTD, pb.Encoding_ENCODING_ZSTD_DELTA}
	}
	if options.fsync {
		setup.Journal = filepath.Join(b.dir, "journal")
	}
	program := filepath.Join(b.dir, "agents")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/edgesync/edgesync/test/bench/agents")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the simulated agents: %w: %s", err, out)
	}
	client, err := swarm.Start(ctx, program, setup)
	return &crowd{client, size}, err
}

// createNodes creates EdgeNodes until there are count. Node i has the label
// among-<n>=true for each of these numbers that is greater than i.
func (b *bench) createNodes(ctx context.Context, count int) error {
	known := len(b.nodes)
	if count <= known {
		return nil
	}
	progress("creating %d EdgeNodes", count-known)
	nodes := make([]pki.Node, count)
	copy(nodes, b.nodes)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := known; i < count; i++ {
		group.Go(func() error {
			node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), Labels: map[string]string{}}}
			for among := 1; among <= 10_000; among *= 10 {
				for _, n := range []int{among, 5 * among} {
					if i < n {
						node.Labels[amongLabel(n)] = "true"
					}
				}
			}
			err := b.client.Create(ctx, node)
			nodes[i] = pki.Node{Name: node.Name, UID: string(node.UID), Join: 1}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.nodes = nodes
	return nil
}

func nodeName(i int) string { return fmt.Sprintf("node-%05d", i) }

func amongLabel(count int) string { return "among-" + strconv.Itoa(count) }

// joinStep is how many agents connect at once where it does not matter how long that takes.
const joinStep = 250

// join has all agents of a crowd connect, some after the others, and waits until they are
// in sync.
func (c *crowd) join(ctx context.Context) error {
	for joined := 0; joined < c.size; {
		step := min(joinStep, c.size-joined)
		if err := c.Connect(ctx, joined, step); err != nil {
			return err
		}
		joined += step
		_, err := c.await(ctx, fmt.Sprintf("%d nodes in sync", joined), func(s swarm.Stats) bool { return s.InSync == joined })
		if err != nil {
			return err
		}
	}
	return nil
}

// await waits until the agents are as wanted.
func (c *crowd) await(ctx context.Context, what string, wanted func(swarm.Stats) bool) (last swarm.Stats, err error) {
	err = await(ctx, crowdPeriod, func() (bool, error) {
		last, err = c.Stats(ctx)
		return err == nil && wanted(last), err
	})
	if err != nil {
		err = fmt.Errorf("%s: %w; the agents: %+v", what, err, last)
	}
	return last, err
}

// leave ends the crowd, and waits until the manager has noticed.
func (b *bench) leave(ctx context.Context, c *crowd) error {
	err := c.Close()
	return errors.Join(err, b.awaitSessions(ctx, 0))
}

func (b *bench) awaitSessions(ctx context.Context, count int) error {
	return await(ctx, 100*time.Millisecond, func() (bool, error) {
		metrics, err := b.managerMetrics(ctx)
		return int(metrics["edgesync_hub_sessions"]) == count, err
	})
}
