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
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a proxy in memory, so that its time can be virtual.
type rig struct {
	*Proxy
	clients, targets chan net.Conn
}

func newRig() *rig {
	b := &rig{clients: make(chan net.Conn), targets: make(chan net.Conn, 1)}
	l := &listener{conns: b.clients, done: make(chan struct{})}
	b.Proxy = serve(l, func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		b.targets <- far
		return near, nil
	})
	return b
}

func (b *rig) connect() (client, target net.Conn) {
	client, far := net.Pipe()
	b.clients <- far
	return client, <-b.targets
}

type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (*listener) Addr() net.Addr { return &net.TCPAddr{} }

func TestDelayDoesNotLimitThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newRig()
		defer b.Close()
		b.SetDelay(50 * time.Millisecond)
		start := time.Now()
		client, target := b.connect()
		g.Expect(time.Since(start)).To(Equal(100*time.Millisecond), "the handshake takes a round trip")

		sent := make([]byte, 20<<20)
		_, _ = rand.Read(sent) // never fails
		for _, way := range [][2]net.Conn{{client, target}, {target, client}} {
			start = time.Now()
			go send(t, way[0], string(sent))
			got := make([]byte, len(sent))
			_, err := io.ReadFull(way[1], got)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(time.Since(start)).To(Equal(50 * time.Millisecond))
			g.Expect(bytes.Equal(got, sent)).To(BeTrue())
		}
		g.Expect(b.Passed(Up)).To(Equal(int64(len(sent))))
		g.Expect(b.Passed(Down)).To(Equal(int64(len(sent))))
		g.Expect(b.Accepted()).To(HaveLen(1))
	})
}

func TestRateLimitsThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newRig()
		defer b.Close()
		b.SetRate(1 << 20)
		b.SetDelay(20 * time.Millisecond)
		client, target := b.connect()
		start := time.Now()
		go send(t, client, strings.Repeat("x", 3<<20))
		_, err := io.CopyN(io.Discard, target, 3<<20)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(time.Since(start)).To(BeNumerically("~", 3*time.Second+20*time.Millisecond, time.Millisecond))
	})
}

func TestBlackHoleKeepsWhatItGot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newRig()
		defer b.Close()
		client, target := b.connect()
		b.SetBlackHole(true)
		go send(t, client, "late")
		data := make([]byte, 4)
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(target, data)
			read <- err
		}()
		time.Sleep(time.Hour) // virtual
		g.Expect(read).NotTo(Receive())
		b.SetBlackHole(false)
		g.Expect(<-read).To(Succeed())
		g.Expect(string(data)).To(Equal("late"))
	})
}

func TestBlackHoleHidesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newRig()
		defer b.Close()
		client, target := b.connect()
		b.SetBlackHole(true)
		client.Close()
		g.Expect(target.SetReadDeadline(time.Now().Add(time.Hour))).To(Succeed()) // virtual
		_, err := target.Read(make([]byte, 1))
		g.Expect(err).To(MatchError(ContainSubstring("timeout")))
		g.Expect(target.SetReadDeadline(time.Time{})).To(Succeed())
		b.SetBlackHole(false)
		_, err = target.Read(make([]byte, 1))
		g.Expect(err).To(MatchError(io.EOF))
	})
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig()
		b.SetDelay(time.Hour)
		client, far := net.Pipe()
		b.clients <- far
		synctest.Wait()
		b.Close()
		_, err := client.Read(make([]byte, 1))
		NewWithT(t).Expect(err).To(MatchError(io.EOF))
	})
}
