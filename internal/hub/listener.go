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

package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/source"
)

// maxUnaskedBytes bounds what has to be kept of a TLS handshake and a request's header: TLS
// itself would take a certificate of 256 KiB.
const maxUnaskedBytes = 32 << 10

var errTooMuch = fmt.Errorf("more than %d bytes, and no request among them", maxUnaskedBytes)

// listener bounds the connections that are pending: all but those of sessions, from
// Accept on. It makes every connection a *conn.
type listener struct {
	patient.Listener
	turns   *turns
	mu      sync.Mutex
	pending pending
}

func newListener(below net.Listener, maxPending int) *listener {
	return &listener{Listener: patient.Listener{Listener: below}, turns: newTurns(), pending: newPending(maxPending)}
}

// Accept waits until the hub is not too busy, then for the next connection, and closes
// another one if it is one too many.
func (l *listener) Accept() (net.Conn, error) {
	l.turns.await()
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted.(*patient.Conn), source: source.Of(accepted.RemoteAddr().String()), listener: l, turn: turn{of: l.turns}}
	c.turn.take()
	if victim := l.add(c); victim != nil {
		victim.accounted.Store(true)
		refused(causePending)
		victim.turn.end()
		_ = victim.Conn.Close()
	}
	return c, nil
}

func (l *listener) add(c *conn) (victim *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	victim = l.pending.add(c)
	if victim == nil {
		pendingGauge.Inc()
	}
	return victim
}

func (l *listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending.remove(c) {
		pendingGauge.Dec()
	}
}

// conn is a connection below TLS. It notes what is needed to say, at its end, what
// became of it.
type conn struct {
	*patient.Conn
	listener *listener
	source   netip.Prefix
	// arrival is the place in the order in which connections have come.
	arrival uint64
	// turn is taken while the hub has something to do for the TLS handshake or the request.
	turn turn
	fate
}

// fate is what happened to a connection.
type fate struct {
	// received counts the bytes that have come before a request was read.
	received atomic.Int64
	// late: what should have come did not come in time. asked: a request was read, be it
	// a bad one. accounted: whoever served or dropped the connection counts it.
	late, asked, accounted atomic.Bool
}

// NetConn returns the connection below, whose deadlines move with progress.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Read reads, and notes what comes of it. It fails when a peer of whom nothing is known
// has sent too much.
func (c *conn) Read(p []byte) (int, error) {
	if !c.asked.Load() && c.received.Load() >= maxUnaskedBytes {
		return 0, errTooMuch
	}
	c.turn.give()
	n, err := c.Conn.Read(p)
	if !c.asked.Load() {
		c.turn.take()
		c.received.Add(int64(n))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.late.Store(true)
	}
	return n, err
}

// Close closes the connection, which is no longer pending.
func (c *conn) Close() error {
	c.turn.end()
	c.settle()
	return c.Conn.Close()
}

// settle makes the connection one that is not pending. It does nothing if c is nil.
func (c *conn) settle() {
	if c != nil {
		c.listener.remove(c)
	}
}

// cause is why a connection came to nothing without anybody having served it; empty if
// nobody is to blame, as when something looked whether the port is open.
func (f *fate) cause(secure bool) cause {
	switch {
	case f.accounted.Load():
		return ""
	case f.late.Load():
		return causeTimeout
	case !secure && f.received.Load() > 0:
		return causeHandshake
	case f.asked.Load():
		return causeRequest
	default:
		return ""
	}
}

// account is a hook of http.Server, which serves a connection and says what becomes of it.
func account(secure net.Conn, state http.ConnState) {
	c := connBelow(secure)
	switch state {
	case http.StateActive:
		c.asked.Store(true)
		c.turn.end()
	case http.StateClosed:
		if why := c.cause(handshakeComplete(secure)); why != "" {
			refused(why)
		}
	}
}

func handshakeComplete(c net.Conn) bool {
	secure, ok := c.(*tls.Conn)
	return !ok || secure.ConnectionState().HandshakeComplete
}

// connBelow finds the *conn below TLS.
func connBelow(c net.Conn) *conn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return c.(*conn)
}

type connKey struct{}

// withConn is a hook of http.Server: the context of a connection's requests has the *conn.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connBelow(c))
}

// connOf is the *conn of a request, and nil if no Server serves it.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}
