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

package linkproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// chunkBytes is how much is read at once, and maxChunks how much may be under way:
	// up to 64 MiB in each direction, far beyond what bandwidth times delay comes to.
	chunkBytes = 32 << 10
	maxChunks  = 2048
	// pacePeriod is how often a throttled connection moves.
	pacePeriod = 10 * time.Millisecond
)

// connection is two sockets and what is under way between them.
type connection struct {
	proxy  *Proxy
	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	ends []net.Conn // whoever connected, and then the target
	left bool       // by whoever connected: see Abandon
}

// chunk is what has been read, or the error with which reading ended.
type chunk struct {
	data []byte
	err  error
	due  time.Time
}

// run passes on what comes from one socket to the other until that ends.
func (c *connection) run(d Direction, from, to net.Conn) {
	underWay := make(chan chunk, maxChunks)
	var reader sync.WaitGroup
	reader.Go(func() { c.read(d, from, underWay) })
	c.write(d, underWay, to)
	reader.Wait()
}

// read ends with a chunk that holds the error.
func (c *connection) read(d Direction, from net.Conn, underWay chan<- chunk) {
	buffer := make([]byte, chunkBytes)
	for {
		link, _ := c.proxy.conditions()
		n, err := from.Read(buffer[:paceBytes(link.rate)])
		if !c.throttle(n) || !c.passable(d) {
			return
		}
		link, _ = c.proxy.conditions()
		due := time.Now().Add(link.delay)
		if n > 0 && !c.put(underWay, chunk{data: bytes.Clone(buffer[:n]), due: due}) {
			return
		}
		if err != nil {
			c.put(underWay, chunk{err: err, due: due})
			return
		}
	}
}

// paceBytes is how much is read at once.
func paceBytes(rate int) int {
	if rate == 0 {
		return chunkBytes
	}
	return min(max(rate*int(pacePeriod/time.Millisecond)/1000, 1), chunkBytes)
}

// throttle takes as long as n bytes take on the link.
func (c *connection) throttle(n int) bool {
	link, _ := c.proxy.conditions()
	if link.rate == 0 {
		return true
	}
	return c.sleep(time.Duration(n) * time.Second / time.Duration(link.rate))
}

func (c *connection) put(underWay chan<- chunk, next chunk) bool {
	select {
	case underWay <- next:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// write passes on every chunk when it is due.
func (c *connection) write(d Direction, underWay <-chan chunk, to net.Conn) {
	for {
		var next chunk
		select {
		case next = <-underWay:
		case <-c.ctx.Done():
			return
		}
		if !c.sleep(time.Until(next.due)) || !c.passable(d) {
			return
		}
		if next.err != nil {
			c.end(next.err, to)
			return
		}
		n, cut := c.proxy.pass(d, len(next.data))
		_, err := to.Write(next.data[:n])
		if cut {
			_ = to.Close() // without a reset, which might overtake the bytes
		}
		if err != nil || cut {
			c.reset()
			return
		}
	}
}

// end passes on that one direction has ended.
func (c *connection) end(err error, to net.Conn) {
	half, ok := to.(interface{ CloseWrite() error })
	if !errors.Is(err, io.EOF) || !ok || half.CloseWrite() != nil {
		c.reset()
	}
}

// sleep is false when the connection has ended before.
func (c *connection) sleep(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// passable returns when the link is no black hole that way; false when the connection has ended.
func (c *connection) passable(d Direction) bool {
	for {
		link, changed := c.proxy.conditions()
		if !link.blackHole[d] {
			return c.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return false
		}
	}
}

// add makes end part of the connection; false, and end is reset, when that has ended.
func (c *connection) add(end net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		reset(end)
		return false
	}
	c.ends = append(c.ends, end)
	return true
}

// abandon ends the connection for whoever made it alone, unless there is no target yet.
func (c *connection) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
	if len(c.ends) == 2 {
		c.left = true
		reset(c.ends[0])
		c.ends = c.ends[1:]
	}
}

func (c *connection) abandoned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

func (c *connection) reset() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.ends {
		reset(end)
	}
}

// reset closes conn so that its peer sees a reset, and what it has not read is lost.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
