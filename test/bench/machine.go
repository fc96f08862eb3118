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
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/discovery"

	"github.com/edgesync/edgesync/internal/testing/fleet"
)

func describeMachine() (settings, error) {
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return nil, err
	}
	model, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return nil, err
	}
	memory, err := field("/proc/meminfo", "MemTotal")
	if err != nil {
		return nil, err
	}
	return settings{
		"cpu":    model,
		"cores":  runtime.NumCPU(),
		"memory": memory,
		"kernel": unix.ByteSliceToString(system.Release[:]),
		"go":     runtime.Version(),
	}, nil
}

// describeFleet adds what runs, and on which file system.
func (r *report) describeFleet(f *fleet.Fleet, dir string) error {
	versions, err := discovery.NewDiscoveryClientForConfig(f.RESTConfig())
	if err != nil {
		return err
	}
	server, err := versions.ServerVersion()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(context.Background(), f.Manager().Path, "--version").Output()
	if err != nil {
		return err
	}
	r.machine["edgesync"] = strings.TrimSpace(strings.TrimPrefix(string(out), "manager version"))
	r.machine["kubernetes"] = server.GitVersion
	r.machine["filesystem"], err = fileSystem(dir)
	return err
}

// fileSystem is the type of the file system that holds path.
func fileSystem(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	longest, kind := "", "unknown"
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || len(fields[1]) < len(longest) {
			continue
		}
		if point := strings.TrimSuffix(fields[1], "/"); path == point || strings.HasPrefix(path, point+"/") {
			longest, kind = fields[1], fields[2]
		}
	}
	return kind, nil
}

// loadAverage is that of the last minute.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(data), " ")
	return first
}

// field returns the first value of a field in a file of /proc.
func field(path, name string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no %q", path, name)
}
