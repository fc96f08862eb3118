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
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has taken.
type usage struct {
	cpu       time.Duration
	rss, peak int64
}

func usageOf(pid int) (usage, error) {
	cpu, err := cpuOf(pid)
	if err != nil {
		return usage{}, err
	}
	memory, err := memoryOf(pid)
	return usage{cpu, memory["VmRSS"], memory["VmHWM"]}, err
}

// cpuOf is the time that a process has spent on CPUs.
func cpuOf(pid int) (time.Duration, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// See proc_pid_stat(5): the name, in parentheses, may hold anything.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("%s is too short", path)
	}
	user, userErr := strconv.ParseInt(fields[utime], 10, 64)
	system, systemErr := strconv.ParseInt(fields[stime], 10, 64)
	if userErr != nil || systemErr != nil {
		return 0, fmt.Errorf("%s: no times in %q", path, fields)
	}
	const tick = time.Second / 100 // USER_HZ, which is 100 on all that Go runs on
	return time.Duration(user+system) * tick, nil
}

// cpuDuring is the CPU time that the manager, the agents of the crowd and the API server
// take while do runs.
func (b *bench) cpuDuring(c *crowd, do func() error) (settings, error) {
	pids := map[string]int{"manager_cpu_s": b.fleet.Manager().PID(), "agents_cpu_s": c.PID()}
	for _, program := range b.fleet.ControlPlane().Programs() {
		pids[program.Name()+"_cpu_s"] = program.PID()
	}
	before := map[string]time.Duration{}
	for name, pid := range pids {
		var err error
		if before[name], err = cpuOf(pid); err != nil {
			return nil, err
		}
	}
	if err := do(); err != nil {
		return nil, err
	}
	taken := settings{}
	for name, pid := range pids {
		after, err := cpuOf(pid)
		if err != nil {
			return nil, err
		}
		taken[name] = format((after - before[name]).Seconds())
	}
	return taken, nil
}

// pause waits for d, in which nothing is asked of anybody.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
