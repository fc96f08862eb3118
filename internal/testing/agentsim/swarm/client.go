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

package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Client controls agents in another process. Its methods may be called concurrently.
type Client struct {
	rpc   *rpc.Client
	pid   int
	ended chan error
}

// Start runs a program that calls Serve with its standard input and output, as agents of
// setup that are not connected yet. It dies with this process.
func Start(ctx context.Context, program string, setup Setup) (*Client, error) {
	command := exec.Command(program)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, inErr := command.StdinPipe()
	out, outErr := command.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, err
	}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The parent-death signal follows the thread that forked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			ended <- command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the simulated agents: %w", err)
	}
	c := &Client{rpc: rpc.NewClientWithCodec(jsonrpc.NewClientCodec(Pipe{out, in})), pid: command.Process.Pid, ended: ended}
	if err := c.call(ctx, "Setup", setup, nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Pipe is a connection made of its two directions.
type Pipe struct {
	io.ReadCloser
	io.WriteCloser
}

// Close closes both.
func (p Pipe) Close() error { return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close()) }

// PID is that of the process of the agents.
func (c *Client) PID() int { return c.pid }

// Close ends the agents, without a farewell to the hub.
func (c *Client) Close() error {
	_ = c.rpc.Close()
	if err := <-c.ended; err != nil {
		return fmt.Errorf("the simulated agents: %w", err)
	}
	return nil
}

// Connect has agents connect, all at once, and connect again whenever they lose the hub.
func (c *Client) Connect(ctx context.Context, first, count int) error {
	return c.call(ctx, "Connect", Range{first, count}, nil)
}

// Disconnect ends what Connect began, and returns when the connections are closed.
func (c *Client) Disconnect(ctx context.Context, first, count int) error {
	return c.call(ctx, "Disconnect", Range{first, count}, nil)
}

// Stats says where the agents stand.
func (c *Client) Stats(ctx context.Context) (stats Stats, err error) {
	err = c.call(ctx, "Stats", struct{}{}, &stats)
	return stats, err
}

// Record begins to note arrivals, or ends it.
func (c *Client) Record(ctx context.Context, on bool) error { return c.call(ctx, "Record", on, nil) }

// Arrivals takes what has been noted since the last call.
func (c *Client) Arrivals(ctx context.Context) (arrivals []Arrival, err error) {
	err = c.call(ctx, "Arrivals", struct{}{}, &arrivals)
	return arrivals, err
}

// Ignore has no agent acknowledge objects of a name; the empty one ends it.
func (c *Client) Ignore(ctx context.Context, name string) error {
	return c.call(ctx, "Ignore", name, nil)
}

func (c *Client) call(ctx context.Context, method string, args, reply any) error {
	if reply == nil {
		reply = &struct{}{}
	}
	call := c.rpc.Go("Swarm."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if call.Error != nil {
			return fmt.Errorf("the simulated agents: %s: %w", method, call.Error)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
