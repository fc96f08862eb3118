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
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/process"
)

// AgentOptions say how an agent joins and runs. The zero value will do.
type AgentOptions struct {
	// Node is the name of the EdgeNode. Empty means that of the agent.
	Node string
	// Labels are those of the EdgeNode that the join makes.
	Labels map[string]string
	// HubURL is the address that the agent dials. Empty means Fleet.HubURL. That of a
	// proxy before the hub must be one of localhost or 127.0.0.1, too.
	HubURL string
	// Targets are the values of --target. None means one directory: Agent.ObjectsDir.
	Targets []string
	// ExtraArgs are further arguments of edge-agent run.
	ExtraArgs []string
}

// Agent is an agent that has joined, running or not. Beyond its methods those of
// process.Program stop, kill, pause and continue it.
type Agent struct {
	*process.Program
	// NodeName is the name of the EdgeNode.
	NodeName string

	fleet   *Fleet
	options AgentOptions
}

// NewAgent returns the agent of that name, which is that of its directory. It does not
// start it, but has it join with a new token, for which the manager must run, and which
// takes the place of whatever has joined as the node before. An agent that has joined
// this hub in an earlier run keeps its identity and store.
func (f *Fleet) NewAgent(ctx context.Context, name string, options AgentOptions) (*Agent, error) {
	a := f.Agent(name, options)
	if err := os.MkdirAll(a.StateDir(), 0o700); err != nil {
		return nil, err
	}
	if err := a.ensureJoined(ctx); err != nil {
		return nil, fmt.Errorf("agent %s: %w", name, err)
	}
	return a, nil
}

// Agent is NewAgent without the join.
func (f *Fleet) Agent(name string, options AgentOptions) *Agent {
	options.HubURL = cmp.Or(options.HubURL, f.HubURL())
	a := &Agent{fleet: f, NodeName: cmp.Or(options.Node, name), options: options}
	a.Program = &process.Program{
		Path:     filepath.Join(f.options.Bin, "edge-agent"),
		Dir:      filepath.Join(f.options.Dir, name),
		Detached: f.options.Detached,
		Ready:    a.checkRunning,
	}
	if options.Targets == nil {
		options.Targets = []string{"directory=" + a.ObjectsDir()}
	}
	a.Args = []string{"run", "--state-dir=" + a.StateDir()}
	for _, target := range options.Targets {
		a.Args = append(a.Args, "--target="+target)
	}
	a.Args = append(a.Args, options.ExtraArgs...)
	a.Files = []string{a.identityPath()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.agents = append(f.agents, a)
	return a
}

// StateDir is the directory of the agent's identity and store.
func (a *Agent) StateDir() string { return filepath.Join(a.Dir, "state") }

// ObjectsDir is the directory target, unless AgentOptions named targets.
func (a *Agent) ObjectsDir() string { return filepath.Join(a.Dir, "objects") }

func (a *Agent) identityPath() string { return filepath.Join(a.StateDir(), "identity.pem") }

// Start starts the agent if it does not run, and returns when it answers. Whether it
// is connected by then is another matter: see Status.
func (a *Agent) Start(ctx context.Context) error {
	if err := a.fleet.run(ctx, a.Program); err != nil {
		return fmt.Errorf("agent %s: %w", a.NodeName, err)
	}
	return nil
}

func (a *Agent) checkRunning(ctx context.Context) error {
	status, err := a.Status(ctx)
	if err == nil && !status.Running {
		err = errors.New("it does not answer yet")
	}
	return err
}

// ensureJoined has the agent join unless it has joined its hub.
func (a *Agent) ensureJoined(ctx context.Context) error {
	_, err := os.Stat(a.identityPath())
	joined := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if joined {
		status, err := a.Status(ctx)
		if err != nil {
			return err
		}
		if status.Link.Hub == a.options.HubURL {
			return nil
		}
		if err := a.Stop(); err != nil { // it would go on with the identity that it has read
			return err
		}
	}
	return a.join(ctx, joined)
}

func (a *Agent) join(ctx context.Context, replace bool) error {
	token, err := a.newToken(ctx)
	if err != nil {
		return err
	}
	args := []string{"join", "--state-dir=" + a.StateDir(), "--node=" + a.NodeName,
		"--hub=" + token.Hub, "--token=" + token.Token, "--ca-hash=" + token.CAHash}
	if replace {
		args = append(args, "--force")
	}
	_, err = output(exec.CommandContext(ctx, a.Path, args...))
	return err
}

// joinToken is the answer of manager token create.
type joinToken struct{ Token, Hub, CAHash string }

// newToken makes a join token, with the rights of the administrator.
func (a *Agent) newToken(ctx context.Context) (*joinToken, error) {
	args := []string{"token", "create", "--kubeconfig=" + a.fleet.controlPlane.KubeconfigPath(), "--namespace=" + Namespace,
		"--node=" + a.NodeName, "--hub=" + a.options.HubURL, "--ttl=10m", "--output=json"}
	for key, value := range a.options.Labels {
		args = append(args, "--label="+key+"="+value)
	}
	known, err := a.nodeExists(ctx)
	if err != nil {
		return nil, err
	}
	if known {
		args = append(args, "--rejoin")
	}
	out, err := output(exec.CommandContext(ctx, a.fleet.Manager().Path, args...))
	if err != nil {
		return nil, err
	}
	var token joinToken
	if err := json.Unmarshal([]byte(out), &token); err != nil {
		return nil, fmt.Errorf("manager token create: %w", err)
	}
	return &token, nil
}

func (a *Agent) nodeExists(ctx context.Context) (bool, error) {
	c, err := a.fleet.Client()
	if err != nil {
		return false, err
	}
	err = c.Get(ctx, client.ObjectKey{Name: a.NodeName}, &syncv1alpha1.EdgeNode{})
	return err == nil, client.IgnoreNotFound(err)
}

// AgentStatus is what edge-agent status says, as far as it is of use here.
type AgentStatus struct {
	Node    string
	Running bool
	InSync  bool
	Link    struct {
		Hub       string
		Connected bool
		Complete  bool
		LastError string
	}
	Objects struct{ Held, Applied, Pending, Failed, Removing int }
	// Problems are the objects that are not as they should be; a bounded number of them.
	Problems []struct {
		Object, State, Message string
		Since                  time.Time
	}
}

// Status runs edge-agent status, for an agent that runs or not.
func (a *Agent) Status(ctx context.Context) (AgentStatus, error) {
	// It fails when the agent is not in sync, which is an answer too.
	out, err := output(exec.CommandContext(ctx, a.Path, "status", "--state-dir="+a.StateDir(), "--output=json"))
	var status AgentStatus
	if json.Unmarshal([]byte(out), &status) == nil {
		err = nil
	}
	return status, err
}
