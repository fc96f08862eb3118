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
// Until SetPatience or Expire is called, deadlines are those that the user of the
// connection sets. From then on Conn alone sets them: what lies above, TLS and
// WebSocket, sets and clears write deadlines for reasons of its own, and would lift
// those that matter. Its methods may be called concurrently.
type Conn struct {
	net.Conn
	mu       sync.Mutex
	patience time.Duration
	expiring bool
}

// SetPatience makes reads and writes fail after d without progress; those that are
// under way have d from now. It does nothing after Expire.
func (c *Conn) SetPatience(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiring {
		return
	}
	c.patience = d
	_ = c.Conn.SetDeadline(time.Now().Add(d))
}

// Expire makes everything fail that is not done within d, progress or not, what is
// under way included. It is final: only the first call counts.
func (c *Conn) Expire(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiring {
		return
	}
	c.expiring = true
	_ = c.Conn.SetDeadline(time.Now().Add(d))
}

// Read reads, and fails after the patience is over.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.extend(c.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write writes, and fails after the patience is over.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.extend(c.Conn.SetWriteDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *Conn) extend(setDeadline func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.patience == 0 || c.expiring {
		return nil
	}
	return setDeadline(time.Now().Add(c.patience))
}

// SetDeadline sets both deadlines, unless Conn sets them itself by now.
func (c *Conn) SetDeadline(t time.Time) error { return c.request(c.Conn.SetDeadline, t) }

// SetReadDeadline sets the deadline of reads, unless Conn sets it itself by now.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.request(c.Conn.SetReadDeadline, t) }

// SetWriteDeadline sets the deadline of writes, unless Conn sets it itself by now.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.request(c.Conn.SetWriteDeadline, t) }

func (c *Conn) request(setDeadline func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.patience > 0 || c.expiring {
		return nil
	}
	return setDeadline(t)
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
