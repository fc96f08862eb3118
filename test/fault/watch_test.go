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

package fault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unsafe"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// watch sees everything that happens to the files of one node: what every node is to hold
// throughout is never removed, not even for a moment, and never goes back to an earlier content.
type watch struct {
	inotify *os.File
	node    string
	dirs    map[int32]string
	counts  map[string]int
}

// startWatch begins once the node holds what it is to hold throughout.
func (w *world) startWatch(n *node) *watch {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	w.Expect(err).NotTo(HaveOccurred())
	seen := &watch{inotify: os.NewFile(uintptr(fd), "inotify"), node: n.name, dirs: map[int32]string{}, counts: map[string]int{}}
	for _, resource := range []string{"configmaps", "secrets"} {
		dir := filepath.Join(n.agent.ObjectsDir(), namespace, resource)
		wd, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE_SELF)
		w.Expect(err).NotTo(HaveOccurred())
		seen.dirs[int32(wd)] = dir
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.look(seen)
	}()
	w.t.Cleanup(func() {
		w.Expect(seen.inotify.Close()).To(Succeed())
		<-ended
	})
	return seen
}

// look ends when the watch is closed.
func (w *world) look(seen *watch) {
	buffer := make([]byte, 256<<10)
	for {
		n, err := seen.inotify.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			w.alarm("the test itself: watching %s: %v", seen.node, err)
			return
		}
		for rest := buffer[:n]; len(rest) > 0; {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&rest[0]))
			end := unix.SizeofInotifyEvent + int(event.Len)
			name := string(bytes.TrimRight(rest[unix.SizeofInotifyEvent:end], "\x00"))
			w.see(seen, event.Mask, seen.dirs[event.Wd], name)
			rest = rest[end:]
		}
	}
}

func (w *world) see(seen *watch, mask uint32, dir, name string) {
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		w.alarm("the test itself: more happens on %s than it can see", seen.node)
	case mask&unix.IN_DELETE_SELF != 0:
		w.alarm("%s: the directory %s was removed", seen.node, dir)
	case !strings.HasPrefix(name, steady):
	case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		w.alarm("%s: %s was removed, which it is to hold throughout", seen.node, name)
	case strings.HasSuffix(dir, "configmaps"):
		w.seeCount(seen, filepath.Join(dir, name))
	}
}

var countPattern = regexp.MustCompile(`(?m)^  count: "(\d+)"$`)

func (w *world) seeCount(seen *watch, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		w.alarm("%s: %v", seen.node, err)
		return
	}
	match := countPattern.FindSubmatch(data)
	if match == nil {
		w.alarm("%s: %s has no count: %.300s", seen.node, path, data)
		return
	}
	count, err := strconv.Atoi(string(match[1]))
	w.check(err)
	if before := seen.counts[path]; count < before {
		w.alarm("%s: %s went back from %d to %d", seen.node, path, before, count)
	}
	seen.counts[path] = count
}
