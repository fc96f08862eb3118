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

// Package process runs programs as child processes for end-to-end tests, benchmarks
// and the quickstart: it starts, stops, pauses and kills them, waits until they are
// ready, quotes their logs, and finds again those that were to outlive the process
// that started them. It needs Linux (pidfd, parent-death signals).
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stopTimeout  = 40 * time.Second // the manager takes its time to drain the hub
	killTimeout  = 20 * time.Second
	pollInterval = 50 * time.Millisecond
	logTailBytes = 2048
)

// Program is a program, running or not. Its fields stay as they are once it was
// started. Its methods must not be called concurrently.
type Program struct {
	// Path is the program file. Its last element is the program's name: it selects
	// the program in a multi-call binary, and log and pidfile are called after it.
	Path string
	Args []string
	// Env is added to the environment of this process.
	Env []string
	// Files are what the program reads once, when it starts.
	Files []string
	// Dir holds the log and the pidfile, and is the working directory. It must exist,
	// and of programs with one name at most one may use it. The arguments of a
	// Detached program must mention a file in it.
	Dir string
	// Ports are the TCP ports on Host that the program listens on.
	Ports []int
	// Detached lets the program outlive this process. EnsureStarted then takes up
	// what an earlier process has started. Otherwise it dies with this process.
	Detached bool
	// StopTimeout is how long Stop waits before it kills the program. 0 means 40 seconds.
	StopTimeout time.Duration
	// KeepLog has the log go on after a restart, instead of keeping that of the run before
	// next to it.
	KeepLog bool
	// Ready returns nil once the program can be used. Nil means at once.
	Ready func(context.Context) error

	process *osProcess // nil when it does not run or has not been looked for
}

// A PortError says that a program cannot listen on a port that it needs.
type PortError struct {
	Program string
	Port    int
	Err     error
}

func (e *PortError) Error() string {
	return fmt.Sprintf("%s: port %d is not free: %v", e.Program, e.Port, e.Err)
}

func (e *PortError) Unwrap() error { return e.Err }

// Name is the last element of Path.
func (p *Program) Name() string { return filepath.Base(p.Path) }

// LogPath names the file that has what the program printed since its start; that of
// the run before is next to it, with the extension .old.
func (p *Program) LogPath() string { return filepath.Join(p.Dir, p.Name()+".log") }

func (p *Program) pidPath() string { return pidPath(p.Dir, p.Name()) }

// argv is the command line; its first element selects the program in a multi-call binary.
func (p *Program) argv() []string { return append([]string{p.Path}, p.Args...) }

// PID returns the process id, or 0 when the program does not run.
func (p *Program) PID() int {
	if err := p.find(); err != nil || p.process == nil {
		return 0
	}
	return p.process.pid
}

// find drops a process that has ended, and looks for a detached one.
func (p *Program) find() (err error) {
	if p.process != nil && p.process.exited(0) {
		p.forget()
	}
	if p.process == nil && p.Detached {
		p.process, err = findProcess(p.Dir, p.Name())
	}
	return err
}

// EnsureStarted starts the program unless it runs. A detached one is stopped first if
// its program file, its arguments or its Files have changed since its start. The error
// is a *PortError when a port is taken.
func (p *Program) EnsureStarted() error {
	if err := p.find(); err != nil {
		return err
	}
	if p.process != nil {
		if !p.Detached || p.process.runs(p.argv()) && !p.outdated() {
			return nil
		}
		if err := p.Stop(); err != nil {
			return err
		}
	}
	if err := p.CheckPorts(); err != nil {
		return err
	}
	return p.start()
}

// CheckPorts returns a *PortError if the program does not run and another one listens
// on a port that it needs.
func (p *Program) CheckPorts() error {
	if p.PID() != 0 {
		return nil
	}
	for _, port := range p.Ports {
		if err := checkPort(port); err != nil {
			return &PortError{Program: p.Name(), Port: port, Err: err}
		}
	}
	return nil
}

// outdated says whether one of the files was written after the pidfile, and so after the start.
func (p *Program) outdated() bool {
	started, err := os.Stat(p.pidPath())
	if err != nil {
		return true
	}
	return slices.ContainsFunc(p.Files, func(file string) bool {
		info, err := os.Stat(file)
		return err != nil || info.ModTime().After(started.ModTime())
	})
}

func (p *Program) start() error {
	if err := p.rotateLog(); err != nil {
		return err
	}
	log, err := os.OpenFile(p.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	started, err := startProcess(p.argv(), append(os.Environ(), p.Env...), p.Dir, log, p.Detached)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name(), err)
	}
	p.process = started
	if p.Detached {
		if err := p.process.writePIDFile(p.pidPath()); err != nil {
			return errors.Join(err, p.Kill())
		}
	}
	return nil
}

// rotateLog keeps the log of the run before once; errors then quote this run alone.
func (p *Program) rotateLog() error {
	if p.KeepLog {
		return nil
	}
	err := os.Rename(p.LogPath(), p.LogPath()+".old")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Stop asks the program to end, and kills it when it does not end in time.
// It is no error when it does not run.
func (p *Program) Stop() error {
	if err := p.signal(unix.SIGTERM); err != nil || p.process == nil {
		return err
	}
	if err := p.signal(unix.SIGCONT); err != nil { // it may be paused
		return err
	}
	if p.process != nil && !p.process.exited(cmp.Or(p.StopTimeout, stopTimeout)) {
		return p.Kill()
	}
	return p.find()
}

// Kill ends the program at once and returns when it is gone. It is no error when it
// does not run.
func (p *Program) Kill() error { return p.end(unix.SIGKILL) }

// Quit is Kill for a Go program, which leaves the stacks of all its goroutines in the log.
func (p *Program) Quit() error { return p.end(unix.SIGQUIT) }

func (p *Program) end(sig unix.Signal) error {
	if err := p.signal(sig); err != nil || p.process == nil {
		return err
	}
	if !p.process.exited(killTimeout) {
		return fmt.Errorf("%s (pid %d) still runs %s after %s", p.Name(), p.process.pid, killTimeout, unix.SignalName(sig))
	}
	return p.find()
}

// Pause stops the program from running until Continue, as if its machine were asleep:
// its connections stay open.
func (p *Program) Pause() error { return p.signal(unix.SIGSTOP) }

// Continue ends Pause.
func (p *Program) Continue() error { return p.signal(unix.SIGCONT) }

func (p *Program) signal(sig unix.Signal) error {
	if err := p.find(); err != nil || p.process == nil {
		return err
	}
	if err := p.process.signal(sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", unix.SignalName(sig), p.Name(), err)
	}
	return nil
}

func (p *Program) forget() {
	if p.Detached {
		p.process.removePIDFile(p.pidPath())
	}
	p.process.close()
	p.process = nil
}

// WaitReady returns when the program is ready, or says from the log why it is not.
func (p *Program) WaitReady(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	last := errors.New("it was not asked")
	for {
		if p.PID() == 0 {
			return fmt.Errorf("%s ended before it was ready; %s", p.Name(), p.LogTail())
		}
		err := p.Check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else err says no more than that the time is up
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w; %s", p.Name(), ctx.Err(), last, p.LogTail())
		}
	}
}

// Check says why the program cannot be used at present.
func (p *Program) Check(ctx context.Context) error {
	if p.PID() == 0 {
		return errors.New("it does not run")
	}
	if p.Ready == nil {
		return nil
	}
	return p.Ready(ctx)
}

// LogTail names the log and quotes its last lines.
func (p *Program) LogTail() string {
	text, err := readTail(p.LogPath(), logTailBytes)
	if err != nil {
		return fmt.Sprintf("its log cannot be read: %v", err)
	}
	return fmt.Sprintf("the last lines of %s:\n%s", p.LogPath(), text)
}

// Crash quotes where the program has panicked, or has found a data race in itself, in its
// log or that of the run before. It is empty if there is nothing of the kind.
func (p *Program) Crash() (string, error) {
	const quoted = 3000
	for _, path := range []string{p.LogPath(), p.LogPath() + ".old"} {
		log, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		for _, sign := range []string{"panic:", "DATA RACE", "fatal error:"} {
			if _, after, found := strings.Cut(string(log), sign); found {
				return fmt.Sprintf("%s: %s%.*s", path, sign, quoted, after), nil
			}
		}
	}
	return "", nil
}
