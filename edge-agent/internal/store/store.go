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

// Package store is the edge agent's durable memory: the records that the hub
// delivered and how far the targets are with them, in one bbolt file. What it
// acknowledged survives a crash of the process and of the machine.
package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

var (
	entriesBucket  = []byte("entries")
	payloadsBucket = []byte("payloads")
	metaBucket     = []byte("meta")
)

// lockWait is how long Open waits for another process to let go of the file: an
// agent that is being restarted finds its predecessor still closing.
const lockWait = 2 * time.Second

// Options of Open. The zero value is what an agent uses.
type Options struct {
	// ReadOnly opens an existing store only to look at it. It fails with ErrLocked
	// while an agent has it open.
	ReadOnly bool
	// OnCommit, if set, is told how long it took to make a transaction durable, and
	// whether that has failed. It must not call the store.
	OnCommit func(took time.Duration, err error)
}

// Store is an open store file. Its methods may be called concurrently; writes wait
// for one another.
type Store struct {
	db       *bolt.DB
	path     string
	epoch    string
	onCommit func(took time.Duration, err error)
	broken   atomic.Pointer[error]
	// unsavedView is the view that is not durable yet; nil if it is.
	unsavedView atomic.Pointer[[]byte]
}

// Open opens the store at path and checks all that it holds, or makes a new one,
// with mode 0600. A damaged file is ErrCorrupt, a file that is in use ErrLocked.
func Open(path string, options Options) (*Store, error) {
	s := &Store{path: path, onCommit: options.OnCommit}
	if s.onCommit == nil {
		s.onCommit = func(time.Duration, error) {}
	}
	if err := s.guard(func() error { return s.openFile(options) }); err != nil {
		return nil, err
	}
	if err := s.prepare(options); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openFile leaves no file open, and so none locked, when bbolt panics.
func (s *Store) openFile(options Options) error {
	var file *os.File
	defer func() {
		if s.db == nil && file != nil {
			_ = file.Close()
		}
	}()
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{
		Timeout:  lockWait,
		ReadOnly: options.ReadOnly,
		OpenFile: func(name string, flag int, mode os.FileMode) (opened *os.File, err error) {
			if file, err = os.OpenFile(name, flag, mode); err == nil && options.ReadOnly {
				err = checkNotEmpty(file)
			}
			return file, err
		},
		FreelistType: bolt.FreelistMapType,
		// The free list is one page of a commit that waits for the disk anyway.
		// Without it bbolt rebuilds it in a goroutine of its own, in which a damaged
		// file is a panic that nobody can recover.
		NoFreelistSync: false,
		// The map starts at 32 KiB and doubles with the file.
		InitialMmapSize: 0,
		NoStatistics:    true,
	})
	if err != nil {
		return s.openError(err)
	}
	s.db = db
	return nil
}

// errNothingStored is how a file without a store looks to those who only read: the
// agent has made it and was stopped before it could write to it.
var errNothingStored = fmt.Errorf("%w: nothing has been stored yet", fs.ErrNotExist)

func checkNotEmpty(file *os.File) error {
	info, err := file.Stat()
	if err == nil && info.Size() == 0 {
		err = errNothingStored
	}
	return err
}

// prepare checks what a store holds, and gives a new one its buckets and epoch.
func (s *Store) prepare(options Options) error {
	var isNew bool
	err := s.view(func(tx *bolt.Tx) error {
		if isNew = tx.Bucket(metaBucket) == nil; isNew {
			return nil
		}
		s.epoch = string(tx.Bucket(metaBucket).Get(epochKey))
		return s.check(tx)
	})
	if err != nil || !isNew {
		return err
	}
	if options.ReadOnly {
		return fmt.Errorf("store %s: %w", s.path, errNothingStored)
	}
	return s.initialize()
}

func (s *Store) initialize() error {
	s.epoch = rand.Text()
	err := s.update(func(tx *bolt.Tx) (bool, error) {
		for _, name := range [][]byte{entriesBucket, payloadsBucket, metaBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return false, err
			}
		}
		meta := tx.Bucket(metaBucket)
		return true, errors.Join(meta.Put(formatKey, []byte(storeFormat)), meta.Put(epochKey, []byte(s.epoch)))
	})
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

// syncDir makes the name of a new file durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close waits for calls that are under way, saves the view, and closes the file. A store that turned
// out to be damaged stays open until the process ends, since closing might wait for ever.
func (s *Store) Close() error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	return errors.Join(s.SaveView(), s.db.Close())
}

// view runs fn in a transaction that only reads.
func (s *Store) view(fn func(tx *bolt.Tx) error) error {
	return s.guard(func() error { return s.db.View(fn) })
}

// update runs fn in a transaction and makes it durable if fn says that it changed something.
func (s *Store) update(fn func(tx *bolt.Tx) (changed bool, err error)) error {
	return s.guard(func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return err
		}
		// Does nothing after a Commit.
		defer func() { _ = tx.Rollback() }()
		changed, err := fn(tx)
		if err != nil || !changed {
			return s.writeError(err)
		}
		saved, err := s.putView(tx)
		if err == nil {
			start := time.Now()
			err = tx.Commit()
			s.onCommit(time.Since(start), err)
		}
		if err != nil {
			return s.writeError(err)
		}
		saved()
		return nil
	})
}

// Size is that of the file, in bytes.
func (s *Store) Size() (int64, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// guard turns what bbolt does on a damaged file, a panic or a read beyond its end,
// into ErrCorrupt. After a panic bbolt's locks may be held for ever: every later
// call fails at once.
func (s *Store) guard(fn func() error) (err error) {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = s.corrupt(cause)
			s.broken.Store(&err)
		}
	}()
	return fn()
}
