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

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The program of the tests is this test binary run again.
const (
	helperMode = "PROCESS_TEST_MODE"
	patience   = time.Minute
)

func TestMain(m *testing.M) {
	switch os.Getenv(helperMode) {
	case "":
		goleak.VerifyTestMain(m)
	case "serve": // until it is asked to end
		end := make(chan os.Signal, 1)
		signal.Notify(end, unix.SIGTERM)
		fmt.Println("ready")
		<-end
		fmt.Println("bye")
	case "stubborn":
		signal.Ignore(unix.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "fail":
		fmt.Println("a reason")
		os.Exit(1)
	}
}

func newHelper(t *testing.T, mode string) *Program {
	t.Helper()
	dir := t.TempDir()
	p := &Program{Path: filepath.Join(dir, "helper"), Args: []string{filepath.Join(dir, "data")}, Env: []string{helperMode + "=" + mode}, Dir: dir}
	p.Ready = func(context.Context) error {
		if log, err := os.ReadFile(p.LogPath()); err != nil || !bytes.Contains(log, []byte("ready")) {
			return errors.Join(errors.New("not yet"), err)
		}
		return nil
	}
	g := NewWithT(t)
	g.Expect(os.Symlink(os.Args[0], p.Path)).To(Succeed())
	t.Cleanup(func() { NewWithT(t).Expect(p.Kill()).To(Succeed()) })
	return p
}

func start(t *testing.T, p *Program) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(p.EnsureStarted()).To(Succeed())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.Expect(p.WaitReady(ctx)).To(Succeed())
}

// state is the letter by which the kernel names what a process is doing.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func TestStartStop(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := newHelper(t, "serve")
	g.Expect(p.Check(t.Context())).To(MatchError("it does not run"))
	start(t, p)
	pid := p.PID()
	g.Expect(pid).NotTo(BeZero())
	start(t, p)
	g.Expect(p.PID()).To(Equal(pid), "it runs already")

	g.Expect(p.Stop()).To(Succeed())
	g.Expect(p.PID()).To(BeZero())
	g.Expect(p.LogTail()).To(And(ContainSubstring(p.LogPath()), ContainSubstring("bye")), "it ended in its own time")
	g.Expect(p.Stop()).To(Succeed(), "nothing runs")

	start(t, p)
	g.Expect(p.PID()).NotTo(Equal(pid))
	g.Expect(p.LogTail()).NotTo(ContainSubstring("bye"))
	g.Expect(os.ReadFile(p.LogPath()+".old")).To(ContainSubstring("bye"), "the log of the run before is kept")
}

func TestPausedProgramsContinueStopAndDie(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := newHelper(t, "serve")
	start(t, p)
	pause := func() {
		g.Expect(p.Pause()).To(Succeed())
		g.Eventually(state).WithArguments(p.PID()).WithTimeout(patience).Should(Equal("T"))
	}
	pause()
	g.Expect(p.Continue()).To(Succeed())
	g.Eventually(state).WithArguments(p.PID()).WithTimeout(patience).ShouldNot(Equal("T"))
	pause()
	g.Expect(p.Stop()).To(Succeed())
	g.Expect(p.LogTail()).To(ContainSubstring("bye"), "it was not killed")

	start(t, p)
	pause()
	g.Expect(p.Kill()).To(Succeed())
	g.Expect(p.PID()).To(BeZero())
	g.Expect(p.LogTail()).NotTo(ContainSubstring("bye"))
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := newHelper(t, "stubborn")
	p.StopTimeout = time.Millisecond
	start(t, p)
	g.Expect(p.Stop()).To(Succeed())
	g.Expect(p.PID()).To(BeZero())
}

func TestFailuresQuoteTheLog(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := newHelper(t, "fail")
	g.Expect(p.EnsureStarted()).To(Succeed())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.Expect(p.WaitReady(ctx)).To(MatchError(And(
		ContainSubstring("helper ended before it was ready"), ContainSubstring(p.LogPath()), ContainSubstring("a reason"))))

	p = newHelper(t, "serve")
	start(t, p)
	lost := errors.New("lost")
	ctx, cancel = context.WithCancel(t.Context())
	p.Ready = func(context.Context) error {
		defer cancel() // once it was asked
		return lost
	}
	g.Expect(p.WaitReady(ctx)).To(And(MatchError(context.Canceled), MatchError(ContainSubstring("the last lines of "+p.LogPath()))))

	p = newHelper(t, "serve")
	p.Path += "-missing"
	g.Expect(p.EnsureStarted()).To(And(MatchError(ContainSubstring("start helper-missing")), MatchError(os.ErrNotExist)))
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	l, err := net.Listen("tcp", net.JoinHostPort(Host, "0"))
	g.Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	p := newHelper(t, "serve")
	p.Ports = []int{l.Addr().(*net.TCPAddr).Port}
	err = p.EnsureStarted()
	var taken *PortError
	g.Expect(errors.As(err, &taken)).To(BeTrue(), "%v", err)
	g.Expect(taken.Port).To(Equal(p.Ports[0]))
	g.Expect(err).To(MatchError(ContainSubstring(fmt.Sprintf("helper: port %d is not free", taken.Port))))
	g.Expect(p.PID()).To(BeZero())
}

// again is the program as another process comes to see it.
func again(p *Program) *Program {
	other := *p
	other.process = nil
	return &other
}

func modified(g *WithT, path string) time.Time {
	info, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	return info.ModTime()
}

func TestDetachedIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := newHelper(t, "serve")
	p.Detached = true
	start(t, p)
	pid := p.PID()

	other := again(p)
	g.Expect(other.PID()).To(Equal(pid))
	g.Expect(other.EnsureStarted()).To(Succeed())
	g.Expect(other.PID()).To(Equal(pid))

	file := filepath.Join(p.Dir, "config")
	write := func(content string) {
		g.Expect(WriteFile(file, []byte(content))).To(Succeed())
	}
	// The clock of the file system stands still for milliseconds.
	probe, started := file+".probe", modified(g, p.pidPath())
	g.Eventually(func() time.Time {
		g.Expect(os.WriteFile(probe, nil, 0o600)).To(Succeed())
		return modified(g, probe)
	}).WithPolling(time.Millisecond).Should(BeTemporally(">", started))
	write("a")
	p.Files = []string{file}
	start(t, p)
	g.Expect(p.PID()).NotTo(Equal(pid), "a file that it reads has changed")
	pid = p.PID()
	write("a")
	start(t, p)
	g.Expect(p.PID()).To(Equal(pid), "the file is as it was")

	other = again(p)
	other.Args = append(other.Args, "--more")
	start(t, other)
	g.Expect(other.PID()).NotTo(Equal(pid), "other arguments need a restart")
	pid = other.PID()
	g.Expect(p.PID()).To(Equal(pid), "the handle of one that has ended finds the next")

	binary, err := os.ReadFile(os.Args[0])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Remove(other.Path)).To(Succeed())
	g.Expect(os.WriteFile(other.Path, binary, 0o755)).To(Succeed())
	other = again(other)
	start(t, other)
	g.Expect(other.PID()).NotTo(Equal(pid), "so does another file")

	stranger := again(other)
	g.Expect(stranger.Stop()).To(Succeed())
	g.Expect(other.PID()).To(BeZero())
	g.Expect(other.pidPath()).NotTo(BeAnExistingFile())
}

func TestForeignProcessIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := newHelper(t, "serve")
	p.Detached = true
	g.Expect((&osProcess{pid: os.Getpid()}).writePIDFile(p.pidPath())).To(Succeed())
	g.Expect(p.PID()).To(BeZero())
	g.Expect(p.Stop()).To(Succeed())

	g.Expect(os.WriteFile(p.pidPath(), []byte("-1\n"), 0o600)).To(Succeed())
	g.Expect(p.EnsureStarted()).To(MatchError(ContainSubstring("no process id")))
	g.Expect(os.Remove(p.pidPath())).To(Succeed())
}

func TestQuitLeavesTheStacksAndACrashIsFound(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := newHelper(t, "serve")
	p.KeepLog = true
	start(t, p)
	g.Expect(p.Crash()).To(BeEmpty())
	g.Expect(p.Quit()).To(Succeed())
	g.Expect(p.PID()).To(BeZero())
	g.Expect(os.ReadFile(p.LogPath())).To(ContainSubstring("goroutine 1 "))
	g.Expect(p.Crash()).To(BeEmpty(), "to be told to quit is no crash")

	log, err := os.OpenFile(p.LogPath(), os.O_APPEND|os.O_WRONLY, 0)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = log.WriteString("panic: what now\n")
	g.Expect(errors.Join(err, log.Close())).To(Succeed())
	start(t, p)
	g.Expect(p.Crash()).To(ContainSubstring("panic: what now"), "the log goes on after a restart")
	g.Expect(p.Stop()).To(Succeed())
}
