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
	"testing"
	"time"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// A node may declare anything, and answer anything whenever it likes: nothing panics,
// the window holds, and what is wanted of the node stays what it was.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x02\x03\x11\x01\x02\x01\x21\x01\x00\x01\x02"))
	f.Add([]byte("\x33\x41\x52\x61\x05\x73\x01\x01\x04\x02\x00\x03\x05\x01\x06\x07\x08\x09"))
	f.Add([]byte("\xff\x04\x01\x00\x01\x02\x01\x03\xff\x03\x01\x02\x05\x00\x05\x03\x02\x01\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		h := hostile{script: script[:min(len(script), 500)], now: start}
		h.node = New(Config{
			WindowMessages: 4, WindowBytes: 64, MaxObjectBytes: 32, RetryBase: time.Second, RetryMax: 10 * time.Second,
		}, h.inventory())
		for len(h.script) > 0 {
			h.step()
			if n := h.node.underWay; n < 0 || n > 4 {
				t.Fatalf("%d messages are under way", n)
			}
			if h.node.inFlight < 0 || h.node.underWay == 0 && h.node.inFlight != 0 {
				t.Fatalf("%d bytes are under way in %d messages", h.node.inFlight, h.node.underWay)
			}
			if n := h.node.sent.len() + h.node.undone.len(); n > 2*hostileObjects {
				t.Fatalf("%d messages are remembered", n)
			}
			if n := h.node.Size(); n > hostileObjects {
				t.Fatalf("%d objects", n)
			}
			h.node.Summary()
		}
	})
}

// hostileObjects is how many objects there are.
const hostileObjects = 4

// hostile acts as the bytes of a script say.
type hostile struct {
	script []byte
	node   *Node
	now    time.Time
}

func (h *hostile) byte() int {
	if len(h.script) == 0 {
		return 0
	}
	b := h.script[0]
	h.script = h.script[1:]
	return int(b)
}

func (h *hostile) object() *object.Object {
	b := h.byte()
	return version(numbered(b%hostileObjects), string(rune('1'+b/hostileObjects%5)), 1+b/20)
}

func (h *hostile) state() State { return State(h.byte() % (int(RemoveFailed) + 2)) }

func (h *hostile) inventory() map[object.Key]Held {
	inventory := map[object.Key]Held{}
	for range h.byte() % (hostileObjects + 1) {
		o := h.object()
		inventory[o.Key] = Held{Holding: desired.Want{Object: o}.Holding(), State: h.state()}
	}
	return inventory
}

func (h *hostile) step() {
	switch h.byte() % 10 {
	case 0:
		h.node.Desire(h.now, []Change{wanted(h.object())})
	case 1:
		h.node.Desire(h.now, unwantedInBulk(h.object().Key))
	case 2:
		h.node.Next(h.now, h.byte(), h.byte())
	case 3:
		_, _ = h.node.Ack(h.now, uint64(h.byte()))
	case 4:
		_, _ = h.node.AckRange(h.now, uint64(h.byte()), uint64(h.byte()))
	case 5:
		_, _ = h.node.Nack(h.now, Nack{
			Sequence: uint64(h.byte()), Code: Code(h.byte() % 5), RetryAfter: time.Duration(h.byte()) * time.Hour,
			Held: desired.Want{Object: h.object()}.Holding(),
		})
	case 6:
		o := h.object()
		h.node.Applied(h.now, Result{
			Key: o.Key, UID: o.UID, Digest: o.Digest, State: h.state(), Removed: h.byte()%2 == 1, Message: "no",
		})
	case 7:
		h.now = h.now.Add(time.Duration(h.byte()) * time.Second)
	case 8:
		_, _ = h.node.Done(h.now, uint64(h.byte()), uint64(h.byte()))
	case 9:
		h.node.Encoded(h.now, uint64(h.byte()), h.byte())
	}
}
