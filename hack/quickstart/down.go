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
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/process"
)

// down stops everything and removes the directory. It needs no binaries.
func down(dir string, out io.Writer) error {
	p := &progress{out: out, start: time.Now()}
	unlock, err := lock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p.say("nothing runs, and there is no %s", relative(dir))
		return nil
	} else if err != nil {
		return err
	}
	defer unlock()
	if _, err := openDir(dir); err != nil { // never remove anything else
		return err
	}
	var stopped []error
	for _, name := range nodeNames {
		stopped = append(stopped, p.step("stop edge-agent "+name, stop(filepath.Join(dir, name), "edge-agent")))
	}
	stopped = append(stopped,
		p.step("stop manager", stop(dir, "manager")),
		p.step("stop control plane", func() error { return controlplane.StopDetached(dir) }))
	if err := errors.Join(stopped...); err != nil {
		return fmt.Errorf("%w\n%s stays until that is stopped", err, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	p.say("removed %s", relative(dir))
	return nil
}

// stop ends a detached program, if it runs.
func stop(dir, name string) func() error {
	return (&process.Program{Path: name, Dir: dir, Detached: true}).Stop
}
