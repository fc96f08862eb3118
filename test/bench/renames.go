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
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// rename is a file that has got its name.
type rename struct {
	name string
	at   time.Time
}

// renames tells of every file in a directory that gets its name by a rename.
type renames struct {
	inotify *os.File
	events  chan rename
	failed  chan error
}

// watchRenames begins to watch a directory. Close ends it.
func watchRenames(dir string) (*renames, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	r := &renames{
		inotify: os.NewFile(uintptr(fd), "inotify"),
		events:  make(chan rename, 1024),
		failed:  make(chan error, 1),
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		r.Close()
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	go func() { r.failed <- r.read() }()
	return r, nil
}

func (r *renames) Close() { _ = r.inotify.Close() }

// read takes the time of an event as soon as the kernel hands it out.
func (r *renames) read() error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.inotify.Read(buffer)
		at := time.Now()
		if err != nil {
			return err
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			// struct inotify_event: wd, mask, cookie, len, name padded with zeros.
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			r.events <- rename{strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00"), at}
			rest = rest[end:]
		}
	}
}

// next waits for the next rename to a name.
func (r *renames) next(ctx context.Context, name string) (time.Time, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case event := <-r.events:
			if event.name == name {
				return event.at, nil
			}
		case err := <-r.failed:
			return time.Time{}, err
		case <-timeout.C:
			return time.Time{}, fmt.Errorf("no file %s within %s", name, patience)
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}
