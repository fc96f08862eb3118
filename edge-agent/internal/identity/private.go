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
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	privateDir  fs.FileMode = 0o700
	privateFile fs.FileMode = 0o600
)

// CheckStateDir refuses a state directory that others than the running user own or
// have access to, and those of the named files in it, and of the identity's own, that
// they do. What does not exist is right.
//
// Root is no exception: whoever owns a file can replace what it holds, and with it what
// an agent that runs as root trusts and does.
func CheckStateDir(stateDir string, files ...string) error {
	return checkStateDir(stateDir, os.Geteuid(), files...)
}

func checkStateDir(stateDir string, user int, files ...string) error {
	if err := checkPrivate(stateDir, privateDir, stateDir, user); err != nil {
		return err
	}
	for _, file := range append(files, FileName, FileName+temporarySuffix) {
		if err := checkPrivate(filepath.Join(stateDir, file), privateFile, stateDir, user); err != nil {
			return err
		}
	}
	return nil
}

func checkPrivate(path string, mode fs.FileMode, stateDir string, user int) error {
	err := checkMode(path, mode)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return checkOwner(path, stateDir, user)
}

// checkMode refuses what the group or others have any access to.
func checkMode(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("check the permissions of the state directory: %w", err)
	}
	if loose := info.Mode().Perm(); loose&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others can get at the secrets of this node: run `chmod %04o %s`", path, loose, mode, path)
	}
	return nil
}

// checkOwner refuses what does not belong to the user.
func checkOwner(path, stateDir string, user int) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("check the owner of the state directory: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != user {
		return fmt.Errorf("%s belongs to the user with the id %d, and edge-agent runs as %d: run it as that user, or run `chown -R %d %s`",
			path, stat.Uid, user, user, stateDir)
	}
	return nil
}

// prepareDir makes the state directory, or checks that it is private.
func prepareDir(stateDir string) error {
	if err := os.MkdirAll(stateDir, privateDir); err != nil {
		return fmt.Errorf("create the state directory: %w", err)
	}
	return CheckStateDir(stateDir)
}
