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
	"errors"
	"path/filepath"
)

// ProgramStatus says whether one program of a detached control plane runs.
type ProgramStatus struct {
	Name string
	// PID is 0 when the program does not run.
	PID int
	// Log is the path of its log.
	Log string
}

// Status lists the programs of the detached control plane in dir, in the order of
// their start. It asks the operating system alone; whether they are ready is what
// Start waits for.
func Status(dir string) ([]ProgramStatus, error) {
	var all []ProgramStatus
	err := eachDetached(dir, func(p *program) error {
		s := ProgramStatus{Name: p.name, Log: p.logPath()}
		if p.process != nil {
			s.PID = p.process.pid
			p.process.close()
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

// StopDetached ends the detached control plane in dir. The data stays.
// It is no error when nothing runs.
func StopDetached(dir string) error {
	var all []*program
	err := eachDetached(dir, func(p *program) error {
		all = append(all, p)
		return nil
	})
	for i := len(all) - 1; i >= 0; i-- {
		err = errors.Join(err, all[i].stop())
	}
	return err
}

func eachDetached(dir string, do func(*program) error) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager"} {
		p := &program{name: name, dir: dir, detached: true}
		p.process, err = findProcess(dir, name)
		errs = append(errs, err)
		if err == nil {
			errs = append(errs, do(p))
		}
	}
	return errors.Join(errs...)
}
