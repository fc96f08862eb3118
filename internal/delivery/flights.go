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

package delivery

import (
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/object"
)

// flight is one message under way, and then, until nothing is left to do about it, what
// has been stored.
type flight struct {
	sequence uint64
	// entry is nil once the flight counts for nothing any longer.
	entry *entry
	// bytes is what it takes on the wire, as far as that is known.
	bytes int
	// payload is the size of what may go as a difference; 0 of everything else.
	payload int
	// queued are the bytes that were under way when it had been sent, its own included.
	queued int
	// filled: these were at least half of the window.
	filled bool
	at     time.Time
	// passed: something that was sent later has been answered, so that the link has
	// carried it, and whatever the node is doing with it keeps nothing else waiting.
	passed bool
	// outdated: something has to follow it.
	outdated bool
	isPut    bool
	release  bool
	// put is what a Put brings; of a Delete it has the version as of which it is right.
	put object.Holding
}

// afterwards is the entry as it will be if the node accepts the message.
func (f *flight) afterwards() *entry {
	e := *f.entry
	switch {
	case f.isPut:
		e.held = &Held{Holding: f.put}
	case f.release || e.held == nil:
		e.held = nil
	default:
		held := *e.held
		held.State = Removing
		e.held = &held
	}
	return &e
}

// flights are ordered by their sequence. Those that are dropped stay for a while.
type flights struct {
	list    []*flight
	dropped int
}

func (fs *flights) index(sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(fs.list, sequence, func(f *flight, sequence uint64) int {
		switch {
		case f.sequence < sequence:
			return -1
		case f.sequence > sequence:
			return 1
		}
		return 0
	})
}

// add puts a flight in its place, which is nearly always the last one.
func (fs *flights) add(f *flight) {
	if n := len(fs.list); n == 0 || fs.list[n-1].sequence < f.sequence {
		fs.list = append(fs.list, f)
		return
	}
	i, _ := fs.index(f.sequence)
	fs.list = slices.Insert(fs.list, i, f)
}

// find is the flight of a sequence; nil if there is none.
func (fs *flights) find(sequence uint64) *flight {
	if i, found := fs.index(sequence); found && fs.list[i].entry != nil {
		return fs.list[i]
	}
	return nil
}

// drop has a flight count for nothing any longer.
func (fs *flights) drop(f *flight) {
	f.entry = nil
	fs.dropped++
	if 2*fs.dropped < len(fs.list) {
		return
	}
	fs.list = slices.DeleteFunc(fs.list, func(f *flight) bool { return f.entry == nil })
	fs.dropped = 0
	fs.release()
}

// take takes the flights from first to last out.
func (fs *flights) take(first, last uint64) []*flight {
	from, _ := fs.index(first)
	to, exact := fs.index(last)
	if exact {
		to++
	}
	if to = max(from, to); from == to { // a range backwards is empty
		return nil
	}
	taken := slices.Clone(fs.list[from:to])
	fs.list = slices.Delete(fs.list, from, to)
	taken = slices.DeleteFunc(taken, func(f *flight) bool { return f.entry == nil })
	fs.dropped -= to - from - len(taken)
	fs.release()
	return taken
}

// release gives the memory of an empty list back: a node is idle nearly all of the time.
func (fs *flights) release() {
	if len(fs.list) == 0 {
		fs.list = nil
	}
}

// len counts the flights.
func (fs *flights) len() int { return len(fs.list) - fs.dropped }
