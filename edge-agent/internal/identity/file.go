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
)

const (
	// FileName is the name of the identity file in the state directory.
	FileName = "identity.pem"

	temporarySuffix = ".tmp"
	maxFileBytes    = 1 << 20
)

// Load reads the identity from the state directory. If the machine has not joined,
// errors.Is(err, fs.ErrNotExist). An expired certificate is no error here. It refuses
// a directory or file that others than the owner may read.
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
	if err := checkPrivate(stateDir, 0o700); err != nil {
		return nil, err
	}
	if err := checkPrivate(path, 0o600); err != nil {
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

// checkPrivate refuses what the group or others have any access to.
func checkPrivate(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("check the permissions of the identity: %w", err)
	}
	if loose := info.Mode().Perm(); loose&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others can get at the private key: run `chmod %04o %s`", path, loose, mode, path)
	}
	return nil
}

// prepareDir makes the state directory, or checks that it is private.
func prepareDir(stateDir string) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fmt.Errorf("create the state directory: %w", err)
	}
	return checkPrivate(stateDir, 0o700)
}

// replacement replaces a file in one atomic step: until the rename the old content
// stands, from then on the new one does, also after a crash.
type replacement struct {
	path string
	file *os.File
}

// newReplacement opens the temporary file next to path; a crash may have left one.
func newReplacement(path string) (*replacement, error) {
	temporary := path + temporarySuffix
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &replacement{path: path, file: file}, nil
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
		func() error { return os.Rename(r.file.Name(), r.path) },
		func() error { return syncDir(filepath.Dir(r.path)) },
	}
}

// discard removes the temporary file if it was not committed.
func (r *replacement) discard() {
	_ = r.file.Close()
	_ = os.Remove(r.file.Name())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
