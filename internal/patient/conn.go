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

// Package patient holds a connection that fails when no byte moves for a while.
package patient

import (
	"net"
	"sync"
	"time"
)

// Conn is a net.Conn whose deadlines move with every read and write. Silence is
// counted in bytes and not in messages, so that a large message on a thin link is no
// silence. It belongs under TLS, where every record counts.
//
// Until SetPatience is called, deadlines are those that the user of the connection
// sets; from then on it alone sets them. Its methods may be called concurrently.
type Conn struct {
	net.Conn
	mu       sync.Mutex
	patience time.Duration
}

// SetPatience makes reads and writes that begin from now on fail after d without progress.
func (c *Conn) SetPatience(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience = d
}

// Expire makes everything fail that is not done within d, progress or not, what is
// under way included; until SetPatience is called again.
func (c *Conn) Expire(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience = 0
	_ = c.SetDeadline(time.Now().Add(d))
}

// Read reads, and fails after the patience is over.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.extend(c.SetReadDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write writes, and fails after the patience is over.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.extend(c.SetWriteDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *Conn) extend(setDeadline func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.patience == 0 {
		return nil
	}
	return setDeadline(time.Now().Add(c.patience))
}

// Listener wraps every accepted connection in a Conn.
type Listener struct {
	net.Listener
}

// Accept waits for the next connection, which is a *Conn.
func (l Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: conn}, nil
}
