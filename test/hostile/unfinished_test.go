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

package hostile

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/protocol"
)

const (
	halfOpenCount = 10_000
	// maxPending is how many connections without a session the hub keeps by default, and
	// pendingGrowth bounds what they take: a handshake, and what it produces for the collector.
	maxPending    = 1024
	pendingGrowth = 128 << 20
	// waiting is what becomes of a connection that the hub keeps, for 10 s at most.
	waiting = "still waiting"
)

func unfinished() []attack {
	return []attack{
		{
			name: "one byte every 100 ms: of the handshake, a header, a join, a Hello", run: slowLoris,
			gets: []string{
				"handshake: connection closed", "header: connection closed", "join: HTTP 408", "Hello: close 4003",
			},
			counted: []string{refused("timeout"), notJoined("timeout")},
		},
		{
			name: "10,000 silent connections from one address", run: halfOpen(1, silence),
			gets: []string{"dropped"}, may: []string{waiting}, counted: []string{refused("pending")}, growth: pendingGrowth,
		},
		{
			name: "10,000 connections in mid-handshake from 1,000 addresses", run: halfOpen(1000, clientHello),
			gets: []string{"dropped"}, may: []string{waiting}, counted: []string{refused("pending")}, growth: pendingGrowth,
		},
	}
}

// slowLoris never stops, and never comes to an end.
func slowLoris(s *siege) {
	handshake, err := s.dial(s.elsewhere())
	s.g.Expect(err).NotTo(HaveOccurred())
	header := s.beginRequest("GET " + protocol.SyncPath + " HTTP/1.1\r\nHost: hub\r\nX-Filler: ")
	join := s.beginRequest("POST " + joinapi.Path + " HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000\r\n\r\n{\"token\":\"")
	greeting := s.connect(s.enlist().at(s.elsewhere()))
	flight := clientHello(s)
	s.start()
	var all sync.WaitGroup
	for name, attack := range map[string]func() string{
		"handshake": func() string { return dribble(handshake, flight, func() string { return answerOn(handshake) }) },
		"header":    func() string { return dribble(header, nil, func() string { return answerOn(header) }) },
		"join":      func() string { return dribble(join, nil, func() string { return answerOn(join) }) },
		"Hello": func() string {
			return dribble(greeting.NetConn(), frame(fin|binaryFrame, protocol.MaxAgentFrameBytes, nil), greeting.end)
		},
	} {
		all.Go(func() { s.add(name + ": " + attack()) })
	}
	all.Wait()
}

// beginRequest sends the beginning of a request.
func (s *siege) beginRequest(begin string) net.Conn {
	conn, err := s.dialTLS(caller{from: s.elsewhere()})
	s.g.Expect(err).NotTo(HaveOccurred())
	_, err = io.WriteString(conn, begin)
	s.g.Expect(err).NotTo(HaveOccurred())
	return conn
}

// dribble sends the text slowly, and then digits without end, until answer returns.
func dribble(conn net.Conn, text []byte, answer func() string) string {
	defer conn.Close()
	ended := make(chan string, 1)
	go func() { ended <- answer() }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case outcome := <-ended:
			return outcome
		case <-ticker.C:
		}
		next := []byte{'0'}
		if i < len(text) {
			next = text[i : i+1]
		}
		_, _ = conn.Write(next) // how the connection ends is what the answer says
	}
}

// clientHello is the first flight of a TLS handshake.
func clientHello(s *siege) []byte {
	near, far := net.Pipe()
	defer far.Close()
	go func() { _ = tls.Client(near, s.tlsConfig(nil)).Handshake() }()
	flight := make([]byte, 64<<10)
	n, err := far.Read(flight)
	s.g.Expect(err).NotTo(HaveOccurred())
	return flight[:n]
}

func silence(*siege) []byte { return nil }

// halfOpen opens connections, sends on each what begin says, and nothing more. A node
// gets in meanwhile, at the first attempt.
func halfOpen(addresses int, begin func(*siege) []byte) func(*siege) {
	return func(s *siege) {
		first, newcomer := begin(s), s.enlist()
		from := make([]string, addresses)
		for i := range from {
			from[i] = s.elsewhere()
		}
		conns := make([]*net.TCPConn, connectionsPossible(s.t))
		s.start()
		for i := range conns {
			var err error
			conns[i], err = s.dial(from[i%len(from)])
			s.g.Expect(err).NotTo(HaveOccurred())
			defer conns[i].Close()
			_, _ = conns[i].Write(first) // it may have been dropped already
			if i%1000 == 999 {
				s.g.Expect(s.begin(newcomer.at(home)).Close()).To(Succeed())
			}
		}
		s.hold()
		s.g.Eventually(func() int {
			kept := 0
			for _, conn := range conns {
				if fateOf(s.g, conn) == waiting {
					kept++
				}
			}
			return kept
		}).WithTimeout(patience).Should(BeNumerically("<=", maxPending))
		for _, conn := range conns {
			s.add(fateOf(s.g, conn))
		}
	}
}

// fateOf tells whether the hub has dropped a connection by now.
func fateOf(g *WithT, conn *net.TCPConn) (fate string) {
	raw, err := conn.SyscallConn()
	g.Expect(err).NotTo(HaveOccurred())
	buffer := make([]byte, 64<<10)
	g.Expect(raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EAGAIN):
				fate = waiting
				return true
			case err != nil || n == 0:
				fate = "dropped"
				return true
			}
		}
	})).To(Succeed())
	return fate
}

// connectionsPossible is how many connections this process and the manager may have, which
// may be fewer than the attack wants.
func connectionsPossible(t *testing.T) int {
	g := NewWithT(t)
	const others = 1000
	var limit unix.Rlimit
	g.Expect(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)).To(Succeed())
	if limit.Cur >= halfOpenCount+others {
		return halfOpenCount
	}
	wanted := unix.Rlimit{Cur: halfOpenCount + others, Max: max(limit.Max, halfOpenCount+others)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &wanted); err != nil {
		g.Expect(limit.Cur).To(BeNumerically(">=", maxPending+2*others), "the limit of open files, which cannot be raised: %v", err)
		t.Logf("no more than %d connections, for want of open files: %v", limit.Cur-others, err)
		return int(limit.Cur) - others
	}
	return halfOpenCount
}
