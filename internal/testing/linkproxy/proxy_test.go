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
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// start runs a proxy on real sockets; targets are the connections at its other end.
func start(t *testing.T) (p *Proxy, targets <-chan *net.TCPConn) {
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	conns := make(chan *net.TCPConn)
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns <- conn.(*net.TCPConn)
			t.Cleanup(func() { conn.Close() })
		}
	}()
	p, err = Start(listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		g.Expect(p.Close()).To(Succeed())
		listener.Close()
		<-accepting
	})
	return p, conns
}

func connect(t *testing.T, p *Proxy) *net.TCPConn {
	conn, err := net.Dial("tcp", p.Addr())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn net.Conn, text string) {
	if _, err := io.WriteString(conn, text); err != nil {
		t.Error(err)
	}
}

func TestPassesBothWaysAndEachEnd(t *testing.T) {
	g := NewWithT(t)
	p, targets := start(t)
	client := connect(t, p)
	target := <-targets
	send(t, client, "question")
	g.Expect(client.CloseWrite()).To(Succeed())
	g.Expect(io.ReadAll(target)).To(BeEquivalentTo("question"))
	send(t, target, "answer")
	target.Close()
	g.Expect(io.ReadAll(client)).To(BeEquivalentTo("answer"))
}

func TestCutResetsBothEnds(t *testing.T) {
	g := NewWithT(t)
	p, targets := start(t)
	client := connect(t, p)
	target := <-targets
	send(t, client, "x") // what passes shows that the proxy has both ends
	g.Expect(target.Read(make([]byte, 1))).To(Equal(1))
	p.Cut()
	for _, end := range []net.Conn{client, target} {
		_, err := end.Read(make([]byte, 1))
		g.Expect(err).To(MatchError(syscall.ECONNRESET))
	}
	// A new connection works.
	client = connect(t, p)
	target = <-targets
	send(t, client, "x")
	g.Expect(target.Read(make([]byte, 1))).To(Equal(1))
}

func TestCutAfterPassesThePrefix(t *testing.T) {
	g := NewWithT(t)
	p, targets := start(t)
	p.CutAfter(Up, 5)
	client := connect(t, p)
	target := <-targets
	send(t, client, "hel")
	send(t, client, "lo, world")
	got, err := io.ReadAll(target)
	g.Expect(string(got)).To(Equal("hello"))
	g.Expect(err).To(Or(Succeed(), MatchError(syscall.ECONNRESET)))
	_, err = client.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(syscall.ECONNRESET))
	g.Expect(p.Passed(Up)).To(Equal(int64(5)))

	// It happens once.
	client = connect(t, p)
	target = <-targets
	send(t, client, "hello, world")
	g.Expect(client.CloseWrite()).To(Succeed())
	g.Expect(io.ReadAll(target)).To(BeEquivalentTo("hello, world"))
}

func TestRefuseResetsNewConnections(t *testing.T) {
	g := NewWithT(t)
	p, targets := start(t)
	old := connect(t, p)
	target := <-targets
	p.SetRefuse(true)
	if conn, err := net.Dial("tcp", p.Addr()); err == nil { // the reset may come before the end of Dial
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		g.Expect(err).To(MatchError(syscall.ECONNRESET))
	}
	send(t, old, "x")
	g.Expect(target.Read(make([]byte, 1))).To(Equal(1), "the old connection goes on")
}

func TestResetPassesOn(t *testing.T) {
	g := NewWithT(t)
	p, targets := start(t)
	client := connect(t, p)
	target := <-targets
	g.Expect(client.SetLinger(0)).To(Succeed())
	client.Close()
	_, err := target.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(syscall.ECONNRESET))
}

func TestUnreachableTargetEndsTheConnection(t *testing.T) {
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	address := listener.Addr().String()
	listener.Close()
	p, err := Start(address)
	g.Expect(err).NotTo(HaveOccurred())
	defer p.Close()
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	g.Expect(errors.Is(err, syscall.ECONNRESET)).To(BeTrue(), "%v", err)
}

func TestAbandonLeavesTheTargetWithASilentConnection(t *testing.T) {
	g := NewWithT(t)
	p, targets := start(t)
	client := connect(t, p)
	target := <-targets
	send(t, client, "x")
	g.Expect(target.Read(make([]byte, 1))).To(Equal(1))
	p.Abandon()
	_, err := client.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(syscall.ECONNRESET))

	again := connect(t, p)
	next := <-targets
	send(t, target, "lost") // the first is still open
	send(t, next, "y")
	g.Expect(again.Read(make([]byte, 1))).To(Equal(1))
	g.Expect(target.SetReadDeadline(time.Now().Add(10 * time.Millisecond))).To(Succeed())
	_, err = target.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(os.ErrDeadlineExceeded), "neither a byte nor an end has come")
}

func TestOneWayBlackHole(t *testing.T) {
	g := NewWithT(t)
	p, targets := start(t)
	client := connect(t, p)
	target := <-targets
	p.SetOneWayBlackHole(Up, true)
	send(t, client, "up")
	send(t, target, "down")
	down := make([]byte, 4)
	g.Expect(io.ReadFull(client, down)).To(Equal(4))
	g.Expect(p.Passed(Up)).To(BeZero())
	p.SetOneWayBlackHole(Up, false)
	up := make([]byte, 2)
	g.Expect(io.ReadFull(target, up)).To(Equal(2))
	g.Expect(string(up)).To(Equal("up"))
}
