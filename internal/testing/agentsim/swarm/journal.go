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

package swarm

import (
	"errors"
	"os"
)

// journal is a file that all agents append to: what comes while it is being synced is
// synced together by the next fsync.
type journal struct {
	file    *os.File
	entries chan entry
}

type entry struct {
	data []byte
	done chan error
}

// maxWaiting bounds the agents that wait for one fsync.
const maxWaiting = 1024

func newJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, entries: make(chan entry, maxWaiting)}
	go j.run()
	return j, nil
}

// appender returns when what it is given is durable. It is nil if the journal is.
func (j *journal) appender() func(data []byte) error {
	if j == nil {
		return nil
	}
	return func(data []byte) error {
		done := make(chan error, 1)
		j.entries <- entry{data, done}
		return <-done
	}
}

// run ends with the process.
func (j *journal) run() {
	for first := range j.entries {
		batch := []entry{first}
		for more := len(j.entries); more > 0; more-- {
			batch = append(batch, <-j.entries)
		}
		err := j.write(batch)
		for _, e := range batch {
			e.done <- err
		}
	}
}

func (j *journal) write(batch []entry) error {
	var data []byte
	for _, e := range batch {
		data = append(data, e.data...)
	}
	_, err := j.file.Write(data)
	return errors.Join(err, j.file.Sync())
}
