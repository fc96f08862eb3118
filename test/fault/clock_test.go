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
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/process"
)

// clockFile names, in the environment, the file with the seconds by which the wall clock
// of a program is wrong.
const clockFile = "EDGESYNC_TEST_CLOCK"

// What is added to package time: the monotonic clock, and so timers, stay right.
const (
	nowBefore = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	nowAfter  = "\tsec, nsec, mono := runtimeNow()\n\tsec += wallShift.Load()\n\tif mono == 0 {"

	shiftSource = `package time

import "sync/atomic"

var wallShift atomic.Int64

// ShiftWallClock has Now tell a wall clock that is wrong by a number of seconds.
func ShiftWallClock(seconds int64) { wallShift.Store(seconds) }
`
	mainSource = `package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

func init() {
	follow := func() {
		data, _ := os.ReadFile(os.Getenv("` + clockFile + `"))
		seconds, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		time.ShiftWallClock(seconds)
	}
	follow()
	go func() {
		for range time.Tick(50 * time.Millisecond) {
			follow()
		}
	}()
}
`
)

// buildWithClocks builds the programs with a wall clock that a file shifts, and returns
// their directory. Nothing of the source tree is changed: the compiler is given other
// content for a file of package time, and one more file for each program.
func buildWithClocks(t *testing.T, dir string) (bin string) {
	g := NewWithT(t)
	root, err := controlplane.ModuleRoot()
	g.Expect(err).NotTo(HaveOccurred())
	goRoot, err := exec.Command("go", "env", "GOROOT").Output()
	g.Expect(err).NotTo(HaveOccurred())
	timeDir := filepath.Join(strings.TrimSpace(string(goRoot)), "src", "time")
	original, err := os.ReadFile(filepath.Join(timeDir, "time.go"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Count(string(original), nowBefore)).To(Equal(1), "time.Now of %s is not the one that is known here", runtime.Version())

	work := filepath.Join(dir, "clocks")
	g.Expect(os.MkdirAll(work, 0o700)).To(Succeed())
	replace := map[string]string{}
	overlay := func(path, content string) {
		file := filepath.Join(work, fmt.Sprintf("%d.go", len(replace)))
		g.Expect(os.WriteFile(file, []byte(content), 0o600)).To(Succeed())
		replace[path] = file
	}
	overlay(filepath.Join(timeDir, "time.go"), strings.Replace(string(original), nowBefore, nowAfter, 1))
	overlay(filepath.Join(timeDir, "zz_shift.go"), shiftSource)
	overlay(filepath.Join(root, "cmd", "zz_clock.go"), mainSource)
	overlay(filepath.Join(root, "edge-agent", "zz_clock.go"), mainSource)
	description, err := json.Marshal(map[string]any{"Replace": replace})
	g.Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(work, "overlay.json")
	g.Expect(os.WriteFile(file, description, 0o600)).To(Succeed())

	bin = filepath.Join(dir, "bin")
	for program, source := range map[string]string{"manager": "./cmd", "edge-agent": "./edge-agent"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-trimpath", "-buildvcs=false",
			"-overlay="+file, "-o", filepath.Join(bin, program), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(out))
	}
	return bin
}

// clockOf gives a program that is about to be started a clock that can be shifted.
func (w *world) clockOf(p *process.Program, name string) (path string) {
	if !*withClocks {
		return ""
	}
	path = filepath.Join(w.dir, name+".clock")
	p.Env = append(p.Env, clockFile+"="+path)
	return path
}

// clockJumps has the wall clock be wrong by up to most for a while, in either direction.
// A program that is restarted then begins with the wrong time.
func clockJumps(most time.Duration) trouble {
	return func(w *world, m *member, r *rand.Rand) (string, func(context.Context)) {
		by := between(r, -most, most).Round(time.Second)
		d, restart := between(r, 500*time.Millisecond, 6*time.Second), r.IntN(3) == 0
		return fmt.Sprintf("by %s for %s, restarted: %t", by, d, restart), func(ctx context.Context) {
			w.check(os.WriteFile(m.clock, fmt.Appendf(nil, "%d", int64(by.Seconds())), 0o600))
			if restart {
				w.check(m.Kill())
				w.startAgain(ctx, m)
			}
			hold(ctx, d)
			w.check(os.Remove(m.clock))
		}
	}
}
