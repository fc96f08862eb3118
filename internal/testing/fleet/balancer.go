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
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// dialTimeout is how long a backend may take to accept a connection.
const dialTimeout = time.Second

// balancer is a TCP load balancer: each connection goes to the next backend, in turn,
// that accepts it. Where none does it is reset. It does not look at what is sent, and
// does not know of a backend that accepts connections and answers nothing.
type balancer struct {
	listener net.Listener
	backends []string
	running  sync.WaitGroup
	closing  context.Context
	close    context.CancelFunc
}

// startBalancer balances what connects to address between TCP addresses.
func startBalancer(address string, backends []string) (*balancer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener, backends: backends}
	b.closing, b.close = context.WithCancel(context.Background())
	b.running.Go(b.accept)
	return b, nil
}

// stop resets all connections and returns when nothing of the balancer runs any more.
func (b *balancer) stop() {
	b.close()
	_ = b.listener.Close()
	b.running.Wait()
}

func (b *balancer) accept() {
	for first := 0; ; first++ {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.carry(client, first) })
	}
}

// carry runs one connection until either end has closed it.
func (b *balancer) carry(client net.Conn, first int) {
	backend := b.dial(first)
	if backend == nil {
		reset(client)
		return
	}
	var ways sync.WaitGroup
	end := sync.OnceFunc(func() { reset(client); reset(backend) })
	defer context.AfterFunc(b.closing, end)()
	ways.Go(func() { pass(client, backend, end) })
	ways.Go(func() { pass(backend, client, end) })
	ways.Wait()
	end()
}

// dial returns a connection to the first backend, in turn, that accepts one, or nil.
func (b *balancer) dial(first int) net.Conn {
	dialer := net.Dialer{Timeout: dialTimeout}
	for i := range b.backends {
		conn, err := dialer.DialContext(b.closing, "tcp", b.backends[(first+i)%len(b.backends)])
		if err == nil {
			return conn
		}
	}
	return nil
}

// pass copies until from has ended, and passes that end on.
func pass(from, to net.Conn, fail func()) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		fail()
	}
}

// reset closes conn so that its peer sees a reset.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
