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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// osProcess is an operating system process, a child of this one or not. Its pidfd
// cannot come to mean another process, and tells the end of all its threads: only
// then are its ports and file locks free.
type osProcess struct {
	pid    int
	fd     int
	reaped chan struct{} // closed when a child has been waited for; nil for others
}

// startProcess runs argv in dir with its output in log. Unless it is detached it dies with this process.
func startProcess(argv, env []string, dir string, log *os.File, detached bool) (*osProcess, error) {
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: env, Dir: dir, Stdout: log, Stderr: log}
	// In both cases a Ctrl-C at the terminal is for this process alone to act on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if detached {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	p := &osProcess{reaped: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal follows the thread that forked, so it must outlive the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.reaped)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
			// The child is not yet waited for, so its pid is still its own.
			p.fd, err = unix.PidfdOpen(p.pid, 0)
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		} else if cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	return p, <-started
}

func pidPath(dir, name string) string { return filepath.Join(dir, name+".pid") }

// findProcess returns the detached process that the pidfile of the program name in dir
// means, or nil if it no longer runs.
func findProcess(dir, name string) (*osProcess, error) {
	data, err := os.ReadFile(pidPath(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return nil, fmt.Errorf("%s holds no process id: %q", pidPath(dir, name), data)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) { // no process, or a mere thread
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, err)
	}
	p := &osProcess{pid: pid, fd: fd}
	// After a reboot the pid may be anybody's. Every program of ours has dir among its arguments.
	argv := p.argv()
	mentionsDir := func(arg string) bool { return strings.Contains(arg, dir+string(filepath.Separator)) }
	if len(argv) == 0 || filepath.Base(argv[0]) != name || !slices.ContainsFunc(argv, mentionsDir) || p.exited(0) {
		p.close()
		return nil, nil
	}
	return p, nil
}

// argv is the command line that the process was started with, empty when it has ended.
func (p *osProcess) argv() []string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	if len(data) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00")
}

// runs says whether the process was started as argv from the file that argv[0] is now:
// one that was rebuilt since is another program.
func (p *osProcess) runs(argv []string) bool {
	file, err := os.Stat(argv[0])
	if err != nil {
		return false
	}
	running, err := os.Stat(fmt.Sprintf("/proc/%d/exe", p.pid))
	return err == nil && os.SameFile(file, running) && slices.Equal(p.argv(), argv)
}

func (p *osProcess) signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// exited waits at most timeout for the process to end, and says whether it has.
func (p *osProcess) exited(timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for {
		poll := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(max(0, time.Until(deadline)).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

// close frees what an ended process still takes.
func (p *osProcess) close() {
	_ = unix.Close(p.fd)
	if p.reaped != nil {
		<-p.reaped
	}
}

func (p *osProcess) writePIDFile(path string) error {
	return WriteFile(path, []byte(p.pidLine()))
}

// removePIDFile leaves a file alone that names another process by now.
func (p *osProcess) removePIDFile(path string) {
	if data, err := os.ReadFile(path); err == nil && string(data) == p.pidLine() {
		_ = os.Remove(path) // a stale one names no process of ours
	}
}

func (p *osProcess) pidLine() string { return strconv.Itoa(p.pid) + "\n" }
