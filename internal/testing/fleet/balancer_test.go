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
	"bufio"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// serveName answers every connection with a name until the test ends or stop is called.
func serveName(t *testing.T, name string) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	stop = func() { _ = listener.Close() }
	t.Cleanup(stop)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(name + "\n"))
			_ = conn.Close()
		}
	}()
	return listener.Addr().String(), stop
}

func TestTheBalancerTakesTurnsAndPassesOverTheDead(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	first, stopFirst := serveName(t, "first")
	second, stopSecond := serveName(t, "second")
	b, err := startBalancer("127.0.0.1:0", []string{first, second})
	g.Expect(err).NotTo(HaveOccurred())
	defer b.stop()
	ask := func() (string, error) {
		conn, err := net.DialTimeout("tcp", b.listener.Addr().String(), time.Minute)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return bufio.NewReader(conn).ReadString('\n')
	}
	for _, want := range []string{"first\n", "second\n", "first\n"} {
		g.Expect(ask()).To(Equal(want))
	}
	stopFirst()
	for range 3 {
		g.Expect(ask()).To(Equal("second\n"))
	}
	stopSecond()
	_, err = ask()
	g.Expect(err).To(HaveOccurred(), "nobody is left")
}

func TestTheBalancerPassesOnWhatEitherEndSays(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	b, err := startBalancer("127.0.0.1:0", []string{listener.Addr().String()})
	g.Expect(err).NotTo(HaveOccurred())
	client, err := net.Dial("tcp", b.listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	defer client.Close()
	backend, err := listener.Accept()
	g.Expect(err).NotTo(HaveOccurred())
	defer backend.Close()

	_, err = client.Write([]byte("question\n"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(client.(*net.TCPConn).CloseWrite()).To(Succeed())
	questions := bufio.NewReader(backend)
	g.Expect(questions.ReadString('\n')).To(Equal("question\n"))
	_, err = questions.ReadByte()
	g.Expect(err).To(MatchError("EOF"), "one direction has ended")
	_, err = backend.Write([]byte("answer\n"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(bufio.NewReader(client).ReadString('\n')).To(Equal("answer\n"))

	b.stop()
	_, err = client.Read(make([]byte, 1))
	g.Expect(err).To(HaveOccurred(), "it ends with the balancer")
}
