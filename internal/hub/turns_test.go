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
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	freed := 0
	all := newTurns(func() { freed++ })
	all.most = 2
	first, second := &turn{of: all}, &turn{of: all}
	first.take()
	first.take()
	g.Expect(all.taken).To(Equal(1), "one connection has one turn")
	second.take()

	g.Expect(all.free()).To(BeFalse())
	second.give()
	g.Expect(all.free()).To(BeTrue())
	g.Expect(freed).To(Equal(1))

	first.end()
	first.take()
	g.Expect(all.taken).To(BeZero(), "nothing begins after the end")
	(&turn{}).take() // nobody counts
}

// A hub that is busy lets connections wait, and one whose peers are slow does not. Who has
// gone meanwhile is not served.
func TestABusyHubTakesNoMore(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	below, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	l := newListener(below, 10)
	defer func() { g.Expect(l.Close()).To(Succeed()) }()
	l.turns.most = 1
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", below.Addr().String())
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial()
	var first net.Conn
	g.Eventually(accepted, time.Minute).Should(Receive(&first))
	gone := dial()
	_, err = gone.Write([]byte("it has said something"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(gone.Close()).To(Succeed())
	there := dial()
	g.Consistently(accepted, 20*time.Millisecond).ShouldNot(Receive(), "the first has not been read from")

	go func() { _, _ = first.Read(make([]byte, 1)) }()
	var second net.Conn
	g.Eventually(accepted, time.Minute).Should(Receive(&second), "the first waits for its peer")
	g.Expect(second.RemoteAddr().String()).To(Equal(there.LocalAddr().String()))
	g.Expect(first.Close()).To(Succeed())
	g.Expect(second.Close()).To(Succeed())
	g.Eventually(func() int {
		l.turns.mu.Lock()
		defer l.turns.mu.Unlock()
		return l.turns.taken
	}, time.Minute).Should(BeZero())
}
