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
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// ports are the TCP ports of the quickstart; 0 is one that nothing was said about.
type ports struct {
	APIServer, Etcd, ControllerManager, Hub, Health, Metrics, Query int
}

type portFlag struct {
	port      *int
	flag, use string
	preset    int
}

func (p *ports) all() []portFlag {
	return []portFlag{
		{&p.APIServer, "api-server-port", "the API server", 16443},
		{&p.Etcd, "etcd-port", "etcd", 12379},
		{&p.ControllerManager, "controller-manager-port", "kube-controller-manager", 11257},
		{&p.Hub, "hub-port", "the hub, where the agents connect", 10443},
		{&p.Health, "health-port", "the manager's health probes", 18081},
		{&p.Metrics, "metrics-port", "the manager's metrics", 18080},
		{&p.Query, "query-port", "the manager's query API", 10446},
	}
}

// complete fills in what is 0: from an earlier run, or else the presets.
func (p *ports) complete(earlier ports) {
	before := earlier.all()
	for i, f := range p.all() {
		*f.port = cmp.Or(*f.port, *before[i].port, f.preset)
	}
}

// explain adds to the error about a taken port how to choose another.
func (p *ports) explain(err error) error {
	var taken *process.PortError
	if !errors.As(err, &taken) {
		return err
	}
	for _, f := range p.all() {
		if *f.port == taken.Port {
			return fmt.Errorf("port %d, which %s needs for %s, is taken (%w): end what listens there, or choose another port: make quickstart ARGS=--%s=PORT",
				taken.Port, taken.Program, f.use, taken.Err, f.flag)
		}
	}
	return err
}

// record is what a run leaves for the next. Its file marks a directory as a quickstart's.
type record struct {
	Ports ports
	// SampleApplied says that the sample is the user's by now, to change or to delete.
	SampleApplied bool
}

func recordPath(dir string) string { return filepath.Join(dir, "quickstart.json") }

// loadRecord fails with fs.ErrNotExist where no quickstart is.
func loadRecord(dir string) (record, error) {
	var r record
	data, err := os.ReadFile(recordPath(dir))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%s: %w", recordPath(dir), err)
	}
	return r, nil
}

func (r *record) save(dir string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return process.WriteFile(recordPath(dir), data)
}

// openDir makes or takes up the directory of a quickstart.
func openDir(dir string) (record, error) {
	r, err := loadRecord(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s has files in it that are not of a quickstart: choose another directory with --dir", dir)
	}
	return r, err
}

var errLocked = errors.New("another quickstart command is under way: wait until it ends")

// lock keeps others from using dir, which must exist, until unlock or the end of this process.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errLocked
		}
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return func() {
		// A child that is just being started still has the file, and its lock, open.
		_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
		_ = f.Close()
	}, nil
}
