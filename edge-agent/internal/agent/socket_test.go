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

package agent

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// serveIn answers on the socket of a directory until the test ends.
func serveIn(t *testing.T, dir string, status func() (Status, error)) {
	t.Helper()
	listener, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- serve(ctx, listener, status) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestSocket(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	want := Status{Node: "edge-1", Running: true, Objects: Counts{Held: 3}, CertificateExpires: time.Unix(1, 0).UTC()}
	serveIn(t, dir, func() (Status, error) { return want, nil })
	for range 3 {
		g.Expect(ask(t.Context(), dir)).To(Equal(want))
	}
	info, err := os.Stat(filepath.Join(dir, socketFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
}

func TestSocketPassesOnErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serveIn(t, dir, func() (Status, error) { return Status{}, errors.New("the store is damaged") })
	_, err := ask(t.Context(), dir)
	NewWithT(t).Expect(err).To(MatchError("the store is damaged"))
}

func TestASocketLeftBehindIsReplaced(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketFile), Net: "unix"})
	g.Expect(err).NotTo(HaveOccurred())
	left.SetUnlinkOnClose(false)
	g.Expect(left.Close()).To(Succeed())
	_, err = ask(t.Context(), dir)
	g.Expect(err).To(MatchError(errNotRunning))

	serveIn(t, dir, func() (Status, error) { return Status{Node: "edge-1"}, nil })
	g.Expect(ask(t.Context(), dir)).To(HaveField("Node", "edge-1"))
}

func TestAskWithoutAgent(t *testing.T) {
	t.Parallel()
	_, err := ask(t.Context(), t.TempDir())
	NewWithT(t).Expect(err).To(MatchError(errNotRunning))
}

func TestAskDistrustsTheAnswer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	listener, err := listen(dir)
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		endless := []byte(`{"status":{"node":"` + strings.Repeat("x", maxStatusBytes))
		_, _ = conn.Write(endless)
	}()
	_, err = ask(t.Context(), dir)
	g.Expect(err).To(MatchError(ContainSubstring("gives no status")))
	<-served
}

func TestTheSocketPathIsBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	_, err := socketPath("/" + strings.Repeat("x", maxSocketPath-len(socketFile)-2))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = socketPath("/" + strings.Repeat("x", maxSocketPath-len(socketFile)-1))
	g.Expect(err).To(MatchError(ContainSubstring("by 1 bytes")))
}
