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

package identity

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// FileName is the name of the identity file in the state directory.
	FileName = "identity.pem"

	temporarySuffix = ".tmp"
	maxFileBytes    = 1 << 20
)

// Load reads the identity from the state directory. If the machine has not joined,
// errors.Is(err, fs.ErrNotExist). An expired certificate is no error here, nor is a
// sealed private key: everything else of the identity can be read without it. It
// refuses a directory or file that others than the owner may read.
func Load(stateDir string) (*Identity, error) {
	path := filepath.Join(stateDir, FileName)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this machine has not joined a hub: run `edge-agent join` first: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the identity: %w", err)
	}
	defer file.Close()
	if err := errors.Join(checkMode(stateDir, privateDir), checkMode(path, privateFile)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes))
	if err != nil {
		return nil, fmt.Errorf("read the identity: %w", err)
	}
	identity, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("the identity file %s cannot be used (restore it, or join again with `edge-agent join --force`): %w", path, err)
	}
	return identity, nil
}

// replacement replaces a file in one atomic step: until the rename the old content
// stands, from then on the new one does, also after a crash. There is one at a time for
// a directory, whichever processes want one.
type replacement struct {
	path string
	// dir is locked until it is closed, at the latest by the end of the process.
	dir  *os.File
	file *os.File
}

// newReplacement opens the temporary file next to path; a crash may have left one.
func newReplacement(path string) (*replacement, error) {
	dir, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	file, err := createTemporary(path + temporarySuffix)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return &replacement{path: path, dir: dir, file: file}, nil
}

func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another edge-agent is changing the identity at this moment")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), dir.Close())
	}
	return dir, nil
}

func createTemporary(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateFile)
}

// commit makes data the durable content of the file.
func (r *replacement) commit(data []byte) error {
	for _, step := range r.steps(data) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// steps are what commit does, apart so that a test can stop between any two.
func (r *replacement) steps(data []byte) []func() error {
	return []func() error{
		func() error { _, err := r.file.Write(data); return err },
		r.file.Sync,
		r.file.Close,
		func() error { return os.Rename(r.path+temporarySuffix, r.path) },
		r.dir.Sync,
	}
}

// discard removes the temporary file if it was not committed.
func (r *replacement) discard() {
	_ = r.file.Close()
	_ = os.Remove(r.path + temporarySuffix)
	_ = r.dir.Close()
}
