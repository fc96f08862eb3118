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
	"errors"
	"net"
	"sync"
	"testing"
)

// network is how agents reach the hub.
type network interface {
	net.Listener
	dial() (net.Conn, error)
}

type tcp struct{ net.Listener }

func (t tcp) dial() (net.Conn, error) { return net.Dial("tcp", t.Addr().String()) }

func newTCP(t testing.TB) network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return tcp{listener}
}

// pipes connects without the kernel: nothing is buffered, and time may be that of a
// synctest bubble.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     *sync.Once
}

func newPipes() network {
	return pipes{accepted: make(chan net.Conn), closed: make(chan struct{}), once: &sync.Once{}}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p pipes) Addr() net.Addr { return pipeAddress{} }

func (p pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.accepted <- far:
		return near, nil
	case <-p.closed:
		return nil, errors.New("nobody listens")
	}
}

type pipeAddress struct{}

func (pipeAddress) Network() string { return "pipe" }
func (pipeAddress) String() string  { return "pipe" }
