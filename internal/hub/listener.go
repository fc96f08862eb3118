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
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/source"
)

// maxUnaskedBytes bounds what has to be kept of a TLS handshake and a request's header: TLS
// itself would take a certificate of 256 KiB.
const maxUnaskedBytes = 32 << 10

var errTooMuch = fmt.Errorf("more than %d bytes, and no request among them", maxUnaskedBytes)

const (
	// stallInterval is how often it is looked whether a served connection has stalled, while
	// others wait for its place.
	stallInterval = 250 * time.Millisecond
	// acceptPause follows a failure to accept that passes.
	acceptPause = 50 * time.Millisecond
)

// listener bounds the connections that are pending: all but those of sessions, from the
// kernel on. It makes every connection a *conn.
type listener struct {
	patient.Listener
	turns *turns
	// wake holds a token when there may be something to accept.
	wake chan struct{}

	mu      sync.Mutex
	pending pending
	// failure is why nothing more comes; nil as long as something may.
	failure error
}

// newListener listens until Close, or until the one below fails.
func newListener(below net.Listener, maxPending int) *listener {
	l := &listener{Listener: patient.Listener{Listener: below}, pending: newPending(maxPending), wake: make(chan struct{}, 1)}
	l.turns = newTurns(l.signal)
	go l.takeIn()
	return l
}

// takeIn takes connections from the kernel at once: there the oldest would be the next, whether
// it is still there or not.
func (l *listener) takeIn() {
	for {
		accepted, err := l.Listener.Accept()
		switch {
		case passes(err):
			time.Sleep(acceptPause)
		case err != nil:
			l.fail(err)
			return
		default:
			l.arrive(&conn{
				Conn: accepted.(*patient.Conn), source: source.Of(accepted.RemoteAddr().String()), listener: l, turn: turn{of: l.turns},
			})
		}
	}
}

// passes: connections cannot be accepted just now.
func passes(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}

func (l *listener) arrive(c *conn) {
	l.mu.Lock()
	victim := l.pending.arrive(c, time.Now())
	l.mu.Unlock()
	victim.drop()
	l.signal()
}

// fail closes what waits, and has Accept fail.
func (l *listener) fail(err error) {
	l.mu.Lock()
	l.failure = err
	waiting := slices.Concat(slices.Collect(maps.Values(l.pending.waiting.of))...)
	l.mu.Unlock()
	for _, c := range waiting {
		_ = c.Close()
	}
	l.signal()
}

func (l *listener) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Accept waits until the hub is not too busy, then for the next connection whose peer is
// still there, and closes another one if there is no room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, more, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case c != nil && !c.hungUp():
			c.turn.take()
			return c, nil
		case c != nil:
			_ = c.Close()
		default:
			l.await(more)
		}
	}
}

// next is the connection to be served now; nil if there is none, and more tells whether
// that may change because time passes.
func (l *listener) next() (c *conn, more bool, err error) {
	if !l.turns.free() {
		return nil, false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return nil, false, l.failure
	}
	c, victim := l.pending.next(time.Now())
	pendingGauge.Set(float64(l.pending.served.count))
	victim.drop()
	return c, l.pending.waiting.count > 0, nil
}

func (l *listener) await(more bool) {
	if !more {
		<-l.wake
		return
	}
	timer := time.NewTimer(stallInterval)
	defer timer.Stop()
	select {
	case <-l.wake:
	case <-timer.C:
	}
}

func (l *listener) remove(c *conn) {
	l.mu.Lock()
	removed := l.pending.remove(c)
	pendingGauge.Set(float64(l.pending.served.count))
	l.mu.Unlock()
	if removed {
		l.signal()
	}
}

// conn is a connection below TLS. It notes what is needed to say, at its end, what
// became of it.
type conn struct {
	*patient.Conn
	listener *listener
	source   netip.Prefix
	// arrival is the place in the order in which connections have come, and arrived when.
	arrival uint64
	arrived time.Time
	// silent is since when the peer is waited for, in Unix nanoseconds; 0 if it is not.
	silent atomic.Int64
	// turn is taken while the hub has something to do for the TLS handshake or the request.
	turn turn
	fate
}

// stalled: the peer lets the hub wait.
func (c *conn) stalled(now time.Time) bool {
	silent := c.silent.Load()
	return silent != 0 && now.UnixNano()-silent >= int64(stallPatience)
}

// hungUp: see there.
func (c *conn) hungUp() bool {
	socket, ok := c.Conn.Conn.(syscall.Conn)
	return ok && hungUp(socket)
}

// drop closes the connection, for which there is no room. It does nothing if c is nil.
func (c *conn) drop() {
	if c == nil {
		return
	}
	c.accounted.Store(true)
	refused(causePending)
	c.turn.end()
	_ = c.Conn.Close()
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
	n, err := c.await(p)
	if !c.asked.Load() {
		c.turn.take()
		c.received.Add(int64(n))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.late.Store(true)
	}
	return n, err
}

// await reads, and notes meanwhile that the peer is waited for.
func (c *conn) await(p []byte) (int, error) {
	if c.asked.Load() {
		return c.Conn.Read(p)
	}
	c.turn.give()
	c.silent.Store(time.Now().UnixNano())
	defer c.silent.Store(0)
	return c.Conn.Read(p)
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
