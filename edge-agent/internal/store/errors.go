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

package store

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"
)

// Errors to tell apart with errors.Is.
var (
	// ErrNoSpace: the disk or a quota is full. Nothing was changed; reading goes on
	// working, and so does writing once there is room.
	ErrNoSpace = errors.New("no space left for the store")
	// ErrCorrupt: the file is damaged, and no further call can be relied on.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("the store is in use by another process")
)

func (s *Store) corrupt(cause any) error {
	return fmt.Errorf("%w: %s: %v; stop the agent, move the file away and start it again: "+
		"the hub will then send every object anew", ErrCorrupt, s.path, cause)
}

// openError says what a user can do about an error of bbolt's Open.
func (s *Store) openError(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: %s: is another edge-agent running?", ErrLocked, s.path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch),
		strings.HasPrefix(err.Error(), "file size too small"):
		return s.corrupt(err)
	default:
		return fmt.Errorf("open store %s: %w", s.path, s.writeError(err))
	}
}

// writeError marks an error as ErrNoSpace if it is one. bbolt does not wrap the
// errors of a file that cannot grow, hence the look at the text.
func (s *Store) writeError(err error) error {
	if err == nil {
		return nil
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) || strings.HasSuffix(err.Error(), full.Error()) {
			return fmt.Errorf("%w: make room for %s: %w", ErrNoSpace, s.path, err)
		}
	}
	return err
}
