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

import "time"

const (
	// firstWindow is how many bytes may be under way as long as nothing is known of the
	// link, and leastWindow whatever is found out about it.
	firstWindow = 32 << 10
	leastWindow = 16 << 10
	// A message that was queued for less than shortQueue lets the window grow by
	// windowGrowth times what is acknowledged: a window that is in use becomes four times
	// as large with every round trip. More than longQueue makes it as large as the link
	// has been seen to carry in fairQueue.
	shortQueue   = 250 * time.Millisecond
	fairQueue    = 500 * time.Millisecond
	longQueue    = time.Second
	windowGrowth = 3
	// probeBytes is how much a frame may have that is to show how long an answer takes at
	// least. The messages take about as much again, beside their payloads.
	probeBytes = 4 << 10
)

// window bounds the bytes under way by what the link carries within a fraction of a
// second, so that what becomes urgent never waits for long behind what has been sent:
// whatever is sent lies in the buffers of the kernel, where nothing overtakes it.
type window struct {
	bytes   int
	ceiling int
	// fastest is the shortest time that the answer to a probe has taken: of the round
	// trip, and of the disk of the node. 0 if there was none.
	fastest time.Duration
	// shrunk is the last message that was sent before the window shrank: those up to it
	// say nothing about its size now.
	shrunk uint64
}

func newWindow(ceiling int) window {
	return window{bytes: min(firstWindow, ceiling), ceiling: ceiling}
}

// answered learns from a message that was answered after some time. last is the last
// message that was sent.
func (w *window) answered(f *flight, after time.Duration, last uint64) {
	if f.queued <= 2*probeBytes && after > 0 && (w.fastest == 0 || after < w.fastest) {
		w.fastest = after
	}
	switch queued := after - w.fastest; {
	case f.sequence <= w.shrunk:
	case queued > longQueue:
		carried := int64(f.queued) * int64(fairQueue) / int64(queued)
		w.bytes = min(w.bytes, w.ceiling, max(leastWindow, int(carried)))
		w.shrunk = last
	case queued <= shortQueue && f.filled:
		w.bytes = min(w.ceiling, w.bytes+windowGrowth*f.bytes)
	}
}

// slow reports whether the link has been found to carry less than was sent.
func (w *window) slow() bool { return w.shrunk > 0 }

// frame is how much of the window one frame may have: the node has to get it as a whole
// before it can answer any of it.
func (w *window) frame() int {
	if w.fastest == 0 {
		return probeBytes
	}
	return w.bytes / 4
}

// rate bounds the bytes that are sent in the long run. It is a leaky bucket, by the time
// when all that was sent will have flowed off.
type rate struct {
	bytesPerSecond int64
	empty          time.Time
}

// rateBurst is how far sending may be ahead of the rate.
const rateBurst = 250 * time.Millisecond

// sent takes over that bytes are sent, or, if negative, were counted and not sent.
func (r *rate) sent(now time.Time, bytes int) {
	if r.bytesPerSecond <= 0 {
		return
	}
	if r.empty.Before(now) {
		r.empty = now
	}
	r.empty = r.empty.Add(time.Duration(float64(bytes) / float64(r.bytesPerSecond) * float64(time.Second)))
}

// next is when something may be sent.
func (r *rate) next() time.Time {
	if r.bytesPerSecond <= 0 {
		return time.Time{}
	}
	return r.empty.Add(-rateBurst)
}
