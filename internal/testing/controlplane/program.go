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

package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stopTimeout  = 20 * time.Second
	killTimeout  = 20 * time.Second
	pollInterval = 50 * time.Millisecond
	logTailBytes = 2048

	maxAnswerBytes = 16384
)

// program is one of the programs of a control plane, running or not.
type program struct {
	name     string
	path     string
	args     []string
	dir      string // of its log and pidfile
	port     int    // that it listens on; 0 if none
	detached bool

	client *http.Client // presents what the program asks of its clients
	ready  []check      // all hold once it is ready

	process *process // nil when it does not run
}

// check holds when url answers 200 with a body that contains says.
type check struct{ url, says string }

func (p *program) logPath() string { return filepath.Join(p.dir, p.name+".log") }
func (p *program) pidPath() string { return filepath.Join(p.dir, p.name+".pid") }

// argv is the command line; its first element selects the program in a multi-call binary.
func (p *program) argv() []string { return append([]string{p.path}, p.args...) }

// ensureStarted starts the program unless it runs. A detached one that an earlier
// run left behind is taken up, or replaced when it has another command line.
func (p *program) ensureStarted() error {
	if p.process != nil {
		if !p.process.exited(0) {
			return nil
		}
		p.forget()
	}
	if p.detached {
		running, err := findProcess(p.dir, p.name)
		if err != nil {
			return err
		}
		p.process = running
		if running != nil && running.runs(p.argv()) {
			return nil
		}
		if err := p.stop(); err != nil {
			return err
		}
	}
	if p.port != 0 {
		if err := checkPort(p.port); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return p.start()
}

func (p *program) start() error {
	// The log of the run before is kept once; errors quote this run alone.
	if err := os.Rename(p.logPath(), p.logPath()+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if p.process, err = startProcess(p.argv(), p.dir, log, p.detached); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if p.detached {
		if err := p.process.writePIDFile(p.pidPath()); err != nil {
			return errors.Join(err, p.kill())
		}
	}
	return nil
}

// stop asks the program to end, and kills it when it does not within stopTimeout.
func (p *program) stop() error {
	if p.process == nil {
		return nil
	}
	if err := p.process.signal(unix.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	if !p.process.exited(stopTimeout) {
		return p.kill()
	}
	p.forget()
	return nil
}

// kill ends the program at once and returns when it is gone.
func (p *program) kill() error {
	if p.process == nil {
		return nil
	}
	if err := p.process.signal(unix.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	if !p.process.exited(killTimeout) {
		return fmt.Errorf("%s (pid %d) still runs %s after SIGKILL", p.name, p.process.pid, killTimeout)
	}
	p.forget()
	return nil
}

func (p *program) forget() {
	p.process.close()
	p.process = nil
	if p.detached {
		_ = os.Remove(p.pidPath()) // a stale one names no process of ours
	}
}

// waitReady returns when every check holds, or says from the log why not.
func (p *program) waitReady(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	last := errors.New("it was not asked")
	for {
		err := p.checkReady(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else err says no more than that the time is up
			last = err
		}
		if p.process.exited(0) {
			return fmt.Errorf("%s ended before it was ready; %s", p.name, p.logTail())
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w; %s", p.name, ctx.Err(), last, p.logTail())
		}
	}
}

func (p *program) checkReady(ctx context.Context) error {
	for _, c := range p.ready {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
		if err != nil {
			return err
		}
		resp, err := p.client.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(c.says)) {
			return fmt.Errorf("GET %s: %s: %s", c.url, resp.Status, body)
		}
	}
	return nil
}

// logTail names the log and quotes its last lines.
func (p *program) logTail() string {
	text, err := readTail(p.logPath(), logTailBytes)
	if err != nil {
		return fmt.Sprintf("its log cannot be read: %v", err)
	}
	return fmt.Sprintf("the last lines of %s:\n%s", p.logPath(), text)
}

// readTail returns the last whole lines of a file within limit bytes.
func readTail(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	start := max(0, size-limit)
	text, err := io.ReadAll(io.NewSectionReader(f, start, limit))
	if _, rest, found := bytes.Cut(text, []byte("\n")); found && start > 0 {
		text = rest
	}
	return text, err
}
