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

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	socketFile = "agent.sock"
	// maxSocketPath is what the kernel takes as the path of a unix socket.
	maxSocketPath = 107
	// maxStatusBytes bounds the answer of an agent.
	maxStatusBytes = 1 << 20
	// askTimeout bounds the question, replyTimeout the answer: the agent does not stop
	// while it answers.
	askTimeout   = 5 * time.Second
	replyTimeout = 2 * time.Second
)

// errNotRunning: nobody listens on the socket.
var errNotRunning = errors.New("the agent does not run")

// answer is what an agent writes to whoever connects to its socket.
type answer struct {
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"`
}

func socketPath(stateDir string) (string, error) {
	path := filepath.Join(stateDir, socketFile)
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("the path %s is too long for a unix socket, by %d bytes: use a state directory with a shorter path",
			path, len(path)-maxSocketPath)
	}
	return path, nil
}

// listen opens the status socket. The caller holds the store, so that a socket which
// is there already has been left behind.
func listen(stateDir string) (net.Listener, error) {
	path, err := socketPath(stateDir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old status socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the status socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// serve writes the status to whoever connects, one after the other, until ctx is done.
func serve(ctx context.Context, listener net.Listener, status func() (Status, error)) error {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the status socket: %w", err)
		}
		reply(conn, status)
	}
}

func reply(conn net.Conn, status func() (Status, error)) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(replyTimeout))
	var answer answer
	var err error
	if answer.Status, err = status(); err != nil {
		answer.Error = err.Error()
	}
	// Whoever has asked may be gone by now.
	_ = json.NewEncoder(conn).Encode(answer)
}

// ask reads the status from a running agent.
func ask(ctx context.Context, stateDir string) (Status, error) {
	path, err := socketPath(stateDir)
	if err != nil {
		return Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return Status{}, errNotRunning
	}
	if err != nil {
		return Status{}, fmt.Errorf("ask the agent: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	var got answer
	if err := json.NewDecoder(io.LimitReader(conn, maxStatusBytes)).Decode(&got); err != nil {
		return Status{}, fmt.Errorf("the agent runs, but gives no status: %w", err)
	}
	if got.Error != "" {
		return Status{}, errors.New(got.Error)
	}
	return got.Status, nil
}
