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

package protocol

import (
	"errors"
	"runtime"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is a length-delimited field.
func field(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

func fill(part []byte, size int) []byte {
	var all []byte
	for len(all)+len(part) <= size {
		all = append(all, part...)
	}
	return all
}

// hostile are frames of the largest size that mean as much work as possible.
func hostile(size int) map[string][]byte {
	empty := field(1, nil)
	frames := map[string][]byte{
		"empty messages":         fill(empty, size),
		"empty unknown messages": fill(field(15, nil), size),
		"groups":                 fill([]byte{0x0b}, size),
		"numbers":                fill([]byte{0x08, 0x01}, size),
	}
	// Within one message: empty entries, results, ranges, and bodies again and again.
	for name, number := range map[string]protowire.Number{"hello": 1, "inventory": 2, "ack": 3, "nack": 4, "applied": 5, "unknown": 9} {
		for fieldName, fieldNumber := range map[string]protowire.Number{"entries": 1, "ranges": 2, "unknown fields": 100} {
			frames[name+" with empty "+fieldName] = field(1, field(number, fill(field(fieldNumber, nil), size-16)))
			frames["many "+name+" with one empty "+fieldName] = fill(field(1, field(number, field(fieldNumber, nil))), size)
		}
		frames["many empty "+name] = fill(field(1, field(number, nil)), size)
		frames["one message of many empty "+name] = field(1, fill(field(number, nil), size-8))
		// Just as many entries as are allowed, each as empty as can be.
		frames["full "+name] = fill(field(1, field(number, fill(field(1, field(1, nil)), 4*MaxEntries))), size)
	}
	return frames
}

// No frame costs the hub much more memory than it has bytes.
func TestHostileFramesAreCheap(t *testing.T) {
	const most = 10 * MaxAgentFrameBytes
	for name, frame := range hostile(MaxAgentFrameBytes) {
		if len(frame) > MaxAgentFrameBytes {
			t.Fatalf("%s: a frame of %d bytes tests the wrong limit", name, len(frame))
		}
		used := allocated(func() { _, _ = DecodeAgent(frame) })
		if used > most {
			t.Errorf("agent: %s: %d bytes on the wire take %d in memory", name, len(frame), used)
		}
		used = allocated(func() { _, _ = DecodeHub(frame) })
		if used > most {
			t.Errorf("hub: %s: %d bytes on the wire take %d in memory", name, len(frame), used)
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestEmptyMessagesAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"empty messages", "many empty hello", "one message of many empty inventory", "inventory with empty entries"} {
		frame := hostile(MaxAgentFrameBytes)[name]
		if _, err := DecodeAgent(frame); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkRefuseEmptyMessages(b *testing.B) {
	frame := hostile(MaxAgentFrameBytes)["empty messages"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeAgent(frame); err == nil {
			b.Fatal("accepted")
		}
	}
}
