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

package patient

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a net.Conn that notes its deadlines.
type recorder struct {
	net.Conn
	read, write time.Time
}

func (r *recorder) Read([]byte) (int, error)    { return 0, nil }
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }

func (r *recorder) SetDeadline(t time.Time) error {
	r.read, r.write = t, t
	return nil
}

func (r *recorder) SetReadDeadline(t time.Time) error {
	r.read = t
	return nil
}

func (r *recorder) SetWriteDeadline(t time.Time) error {
	r.write = t
	return nil
}

var never = time.Time{}

// usersTouch does what TLS and WebSocket do to the deadlines below them.
func usersTouch(conn *Conn) {
	_ = conn.SetDeadline(never)
	_ = conn.SetReadDeadline(never)
	_ = conn.SetWriteDeadline(never)
}

func TestDeadlinesAreTheUsersAtFirst(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	below := &recorder{}
	conn := &Conn{Conn: below}
	at := time.Now().Add(time.Hour)

	g.Expect(conn.SetDeadline(at)).To(Succeed())
	_, _ = conn.Read(nil)
	_, _ = conn.Write(nil)
	g.Expect(below.read).To(Equal(at))
	g.Expect(below.write).To(Equal(at))

	g.Expect(conn.SetReadDeadline(never)).To(Succeed())
	g.Expect(conn.SetWriteDeadline(never)).To(Succeed())
	g.Expect(below.read).To(BeZero())
	g.Expect(below.write).To(BeZero())
}

func TestPatienceMovesWithProgress(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	below := &recorder{}
	conn := &Conn{Conn: below}

	conn.SetPatience(time.Hour)
	read, write := below.read, below.write
	g.Expect(read).To(BeTemporally(">", time.Now()), "a read under way has a deadline")
	g.Expect(write).To(BeTemporally(">", time.Now()), "a write under way has a deadline")

	_, _ = conn.Read(nil)
	g.Expect(below.read).To(BeTemporally(">", read))
	g.Expect(below.write).To(Equal(write), "a read is no progress of a write")
	read = below.read
	_, _ = conn.Write(nil)
	g.Expect(below.write).To(BeTemporally(">", write))
	g.Expect(below.read).To(Equal(read), "a write is no progress of a read")

	write = below.write
	usersTouch(conn)
	g.Expect(below.read).To(Equal(read), "users no longer move deadlines")
	g.Expect(below.write).To(Equal(write))
}

func TestExpireIsFinal(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*Conn){
		"from the start":  func(*Conn) {},
		"during patience": func(conn *Conn) { conn.SetPatience(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			below := &recorder{}
			conn := &Conn{Conn: below}
			before(conn)

			conn.Expire(time.Minute)
			read, write := below.read, below.write
			g.Expect(read).To(BeTemporally("<=", time.Now().Add(time.Minute)))
			g.Expect(read).NotTo(BeZero())

			usersTouch(conn)
			conn.SetPatience(time.Hour)
			conn.Expire(time.Hour)
			_, _ = conn.Read(nil)
			_, _ = conn.Write(nil)
			g.Expect(below.read).To(Equal(read))
			g.Expect(below.write).To(Equal(write))
		})
	}
}

func TestExpireEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	defer func() { _ = near.Close() }()
	conn := &Conn{Conn: near}
	conn.SetPatience(time.Hour)

	failed := make(chan error, 2)
	go func() { _, err := conn.Read(make([]byte, 1)); failed <- err }()
	go func() { _, err := conn.Write(make([]byte, 1)); failed <- err }()
	conn.Expire(time.Millisecond)
	for range 2 {
		g.Expect(errors.Is(<-failed, os.ErrDeadlineExceeded)).To(BeTrue())
	}
}

func TestListenerAcceptsPatientConnections(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	listener := Listener{Listener: inner}
	client, err := net.Dial("tcp", listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Close() }()

	conn, err := listener.Accept()
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = conn.Close() }()
	patient, ok := conn.(*Conn)
	g.Expect(ok).To(BeTrue())
	patient.SetPatience(time.Minute)
	g.Expect(client.Close()).To(Succeed())
	_, err = io.ReadAll(conn)
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(listener.Close()).To(Succeed())
	_, err = listener.Accept()
	g.Expect(errors.Is(err, net.ErrClosed)).To(BeTrue())
}
