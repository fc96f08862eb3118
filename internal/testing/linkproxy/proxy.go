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

// Package linkproxy is a TCP proxy that behaves like a link: it delays, throttles,
// loses the other end, resets connections, also in the middle of a message.
// Benchmarks and tests put it between an agent and the hub.
package linkproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Direction is one of the two ways through the proxy.
type Direction int

const (
	// Up is from whoever connected towards the target.
	Up Direction = iota
	// Down is from the target back.
	Down
)

func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Proxy passes connections on to a target. What is set holds for all connections, and
// for bytes that the proxy reads from then on. Its methods may be called concurrently.
type Proxy struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	closing  context.Context
	close    context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex
	link     conditions
	changed  chan struct{} // closed, and made anew, when link changes
	passed   [2]int64
	accepted []time.Time
	open     map[*connection]struct{}
}

// conditions are what is wrong with the link.
type conditions struct {
	delay     time.Duration
	rate      int
	blackHole [2]bool
	refuse    bool
	cutAfter  [2]*int64
}

// Start listens on a free port of the loopback interface and passes every connection on
// to the TCP address target, which is dialled for each. Close ends it.
func Start(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the proxy to %s: %w", target, err)
	}
	return serve(listener, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", target)
	}), nil
}

func serve(listener net.Listener, dial func(context.Context) (net.Conn, error)) *Proxy {
	p := &Proxy{
		listener: listener,
		dial:     dial,
		changed:  make(chan struct{}),
		open:     map[*connection]struct{}{},
	}
	p.closing, p.close = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	return p
}

// Addr is the address that the proxy listens on, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close resets all connections and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() error {
	p.close()
	err := p.listener.Close()
	p.Cut()
	p.running.Wait()
	// The acceptor closes it too.
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// SetDelay delays every byte by d on each way, however many there are: throughput is
// not limited. The TCP handshake of a new connection takes a round trip, too.
func (p *Proxy) SetDelay(d time.Duration) { p.set(func(c *conditions) { c.delay = d }) }

// SetRate limits each way of each connection to a number of bytes per second; 0 is no limit.
func (p *Proxy) SetRate(bytesPerSecond int) { p.set(func(c *conditions) { c.rate = bytesPerSecond }) }

// SetBlackHole makes nothing pass any more, no byte and no end of a connection, while
// connections stay open. As TCP would send it again, everything passes once that is over.
func (p *Proxy) SetBlackHole(on bool) {
	p.set(func(c *conditions) { c.blackHole = [2]bool{on, on} })
}

// SetOneWayBlackHole is SetBlackHole for one direction.
func (p *Proxy) SetOneWayBlackHole(d Direction, on bool) {
	p.set(func(c *conditions) { c.blackHole[d] = on })
}

// SetRefuse resets every new connection at once.
func (p *Proxy) SetRefuse(on bool) { p.set(func(c *conditions) { c.refuse = on }) }

// CutAfter resets, once, the connection on which the n-th byte from now on passes in
// the direction d. The receiver gets these n bytes, and no more of what follows them.
// With n = 0 a cut that is still to come does not.
func (p *Proxy) CutAfter(d Direction, n int64) {
	p.set(func(c *conditions) {
		c.cutAfter[d] = &n
		if n == 0 {
			c.cutAfter[d] = nil
		}
	})
}

// Cut resets all connections. New ones are accepted, unless SetRefuse says otherwise.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.reset()
	}
}

// Abandon resets all connections for whoever made them, and leaves the target with what
// seems to be one: nothing comes from it any more, and what is sent to it is lost. A new
// connection then meets its own predecessor, as after a crash of the machine or of a NAT.
func (p *Proxy) Abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.abandon()
	}
}

// Passed is how many bytes have passed in the direction d, in all connections so far.
func (p *Proxy) Passed(d Direction) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[d]
}

// Accepted is when each connection was accepted, refused ones included.
func (p *Proxy) Accepted() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.accepted...)
}

func (p *Proxy) set(change func(*conditions)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.link)
	close(p.changed)
	p.changed = make(chan struct{})
}

// conditions are the present ones; changed is closed when they are no longer.
func (p *Proxy) conditions() (link conditions, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link, p.changed
}

// accept ends when the proxy is closed, or cannot go on: then whoever connects is refused.
func (p *Proxy) accept() {
	defer func() { _ = p.listener.Close() }()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.accepted = append(p.accepted, time.Now())
		refuse := p.link.refuse
		p.mu.Unlock()
		if refuse {
			reset(client)
			continue
		}
		p.running.Go(func() { p.carry(client) })
	}
}

// carry runs one connection until both its ways have ended.
func (p *Proxy) carry(client net.Conn) {
	ctx, cancel := context.WithCancel(p.closing)
	defer cancel()
	c := &connection{proxy: p, ctx: ctx, cancel: cancel, ends: []net.Conn{client}}
	p.enter(c)
	defer p.leave(c)
	link, _ := p.conditions()
	if !c.sleep(2 * link.delay) {
		return
	}
	target, err := p.dial(ctx)
	if err != nil || !c.add(target) {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { c.run(Up, client, target) })
	ways.Go(func() { c.run(Down, target, client) })
	ways.Wait()
	if c.abandoned() {
		_, _ = io.Copy(io.Discard, target) // until the target gives up, or the proxy ends
	}
}

func (p *Proxy) enter(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = struct{}{}
}

func (p *Proxy) leave(c *connection) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	c.reset()
}

// pass counts n bytes that are to pass, and says how many of them may before the
// connection is to be cut.
func (p *Proxy) pass(d Direction, n int) (allowed int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	allowed = n
	if left := p.link.cutAfter[d]; left != nil {
		allowed = int(min(int64(n), *left))
		if *left -= int64(allowed); *left == 0 {
			p.link.cutAfter[d], cut = nil, true
		}
	}
	p.passed[d] += int64(allowed)
	return allowed, cut
}
