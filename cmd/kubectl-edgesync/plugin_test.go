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

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// now is when the tests take place.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// buffer is written by a command while a test reads it.
type buffer struct {
	mu      gosync.Mutex
	content bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}

// invocation is one run of the plugin.
type invocation struct {
	ctx    context.Context
	input  string
	out    buffer
	errOut buffer
	ended  chan struct{}
}

// run runs the plugin against the server, and returns the exit code.
func (i *invocation) run(t *testing.T, s *apiServer, args ...string) int {
	t.Helper()
	return i.execute(t, append(args, "--kubeconfig", s.kubeconfig(t, "shop"), "--cache-dir", t.TempDir())...)
}

// execute runs the plugin as the program does.
func (i *invocation) execute(t *testing.T, args ...string) int {
	if i.ctx == nil {
		i.ctx = t.Context()
	}
	streams := genericiooptions.IOStreams{In: strings.NewReader(i.input), Out: &i.out, ErrOut: &i.errOut}
	cmd := newPlugin(streams, func() time.Time { return now }).command()
	cmd.SetArgs(args)
	return execute(i.ctx, cmd, streams)
}

// start runs the plugin until end is called, as Ctrl-C does, which returns the exit code.
func start(t *testing.T, s *apiServer, args ...string) (i *invocation, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	i = &invocation{ctx: ctx, ended: make(chan struct{})}
	args = append(args, "--kubeconfig", s.kubeconfig(t, "shop"), "--cache-dir", t.TempDir())
	code := 0
	go func() {
		defer close(i.ended)
		code = i.execute(t, args...)
	}()
	end = func() int {
		cancel()
		<-i.ended
		return code
	}
	t.Cleanup(func() { end() })
	return i, end
}

// transcript is all that a run prints, as a terminal shows it.
func transcript(t *testing.T, s *apiServer, input, args string) string {
	t.Helper()
	i := &invocation{input: input}
	code := i.run(t, s, strings.Fields(args)...)
	text := "$ kubectl edgesync " + args + "\n" + i.out.String() + i.errOut.String()
	if code != 0 {
		text += fmt.Sprintf("exit code %d\n", code)
	}
	return strings.ReplaceAll(text, s.URL, "https://cluster")
}

// expectGolden compares text with a file, or writes that with -update.
func expectGolden(t *testing.T, name, text string) {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join("testdata", name+".golden")
	if *update {
		g.Expect(os.MkdirAll("testdata", 0o750)).To(Succeed())
		g.Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	}
	want, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text).To(Equal(string(want)))
}
