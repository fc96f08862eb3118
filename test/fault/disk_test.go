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

package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/gomega"
)

// smallDisk is the size of the file system that the state of some agents is on.
const smallDisk = "size=48m,mode=700"

// mountSmall puts a small file system in the place of a directory, if that is permitted.
func (w *world) mountSmall(dir string) bool {
	w.Expect(os.MkdirAll(dir, 0o700)).To(Succeed())
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, smallDisk); err != nil {
		w.t.Logf("no disk becomes full: a small file system cannot be mounted here: %v", err)
		return false
	}
	w.t.Cleanup(func() { w.Expect(syscall.Unmount(dir, syscall.MNT_DETACH)).To(Succeed()) })
	return true
}

func (w *world) smallDisks() []*node {
	var found []*node
	for _, n := range w.nodes {
		if n.smallDisk {
			found = append(found, n)
		}
	}
	return found
}

// diskFull fills the disk of an agent that goes on running.
func diskFull(w *world, r *rand.Rand) occurrence {
	n, d := one(r, w.smallDisks()), between(r, time.Second, 6*time.Second)
	return occurrence{what: n.name + " for " + d.String(), turn: &n.running, run: func(ctx context.Context) {
		filler := filepath.Join(n.agent.StateDir(), "filler")
		if err := fill(filler); !errors.Is(err, syscall.ENOSPC) {
			w.alarm("the test itself: the disk of %s did not become full: %v", n.name, err)
		}
		hold(ctx, d)
		w.check(os.Remove(filler))
	}}
}

// fill writes a file until there is no room left.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	return errors.Join(err, file.Close())
}
