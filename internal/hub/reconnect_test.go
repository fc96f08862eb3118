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

package hub

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
)

// What a reconnecting node is told depends on what has changed, and on nothing that a
// hub remembers: it is the same hub, or another one that knows only the index.
func TestReconnect(t *testing.T) {
	for name, reconnect := range map[string]func(*world){
		"to the same hub": func(w *world) { w.eventually(w.hub.Sessions).Should(BeZero()) },
		"to another hub":  func(w *world) { w.restart(newTCP(w.t)) },
	} {
		for _, test := range []struct {
			name   string
			change func(*world)
			want   []string
		}{
			{"nothing changed", func(*world) {}, []string{"bookmark"}},
			{"another version of the same", func(w *world) { w.put(configMap("a", "20", "a")) }, []string{"bookmark"}},
			{"one changed", func(w *world) { w.put(configMap("b", "20", "new")) }, []string{"inventory?", "+b", "bookmark"}},
			{"one is new", func(w *world) { w.put(configMap("d", "20", "d")) }, []string{"inventory?", "+d", "bookmark"}},
			{"one deleted", func(w *world) { w.delete(configMap("b", "", ""), "20") }, []string{"inventory?", "-b", "bookmark"}},
			{"one replaced by another of its name", func(w *world) {
				w.delete(configMap("b", "", ""), "20")
				b := configMap("b", "21", "b")
				b.Object.UID = "another"
				w.put(b)
			}, []string{"inventory?", "+b", "bookmark"}},
			{"all deleted", func(w *world) {
				for i, name := range []string{"a", "b", "c"} {
					w.delete(configMap(name, "", ""), fmt.Sprint(20+i))
				}
			}, []string{"inventory?", "-a", "-b", "-c", "bookmark"}},
		} {
			t.Run(test.name+" "+name, func(t *testing.T) {
				w := newWorld(t, newTCP(t))
				w.addNode("edge-1")
				for _, name := range []string{"a", "b", "c"} {
					w.put(configMap(name, "10", name))
				}
				r := newReplica()
				a := w.connect("edge-1")
				w.g.Expect(names(a.sync(r))).To(ConsistOf("+a", "+b", "+c", "bookmark"))
				w.settled("edge-1", 3)
				a.hangUp()
				reconnect(w)

				test.change(w)
				a = w.connect("edge-1")
				got := names(a.sync(r))
				if test.name == "all deleted" {
					w.g.Expect(got).To(ConsistOf(test.want))
				} else {
					w.g.Expect(got).To(Equal(test.want))
				}
				w.settled("edge-1", len(r.held))
				for key, holding := range r.held {
					w.g.Expect(holding.Same(w.index.Lookup("edge-1", key).Holding())).To(BeTrue())
				}
			})
		}
	}
}

func TestReconnectWithNothingChangedIsOneRoundTrip(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	item := configMap("a", "10", "a")
	w.put(item)
	a := w.connect("edge-1")
	a.send(hello(w.holding(item.Object.Key)))
	a.nextWelcome()
	a.nextBookmark()
	w.g.Expect(a.frames).To(BeNumerically("<=", 2))
	w.settled("edge-1", 1)
}

// A change is not lost wherever it falls between Hello and the first message.
func TestChangeWhileTheSessionOpens(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	w.put(configMap("a", "10", "old"))
	w.put(configMap("b", "10", "old"))
	r := newReplica()
	a := w.connect("edge-1")
	a.sync(r)
	a.hangUp()
	w.eventually(w.hub.Sessions).Should(BeZero())
	w.put(configMap("c", "11", "new"))

	a = w.connect("edge-1")
	a.send(hello(r))
	a.nextWelcome()
	w.g.Expect(a.next().GetNeedInventory()).NotTo(BeNil())
	// The session is attached, and its delivery does not exist yet.
	w.g.Expect(w.hub.Sessions()).To(Equal(1))
	w.put(configMap("a", "12", "new"))
	w.put(configMap("d", "13", "new"))
	w.delete(configMap("b", "", ""), "14")
	a.send(inventoryPart(true, r.entries()...))
	w.g.Expect(names(a.follow(r))).To(ConsistOf("+a", "-b", "+c", "+d", "bookmark"))
	w.settled("edge-1", 3)
}

func TestLastObjectDeletedWhileAway(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	item := configMap("a", "10", "a")
	w.put(item)
	r := w.holding(item.Object.Key)
	w.delete(item, "11")
	a := w.connect("edge-1")
	w.g.Expect(names(a.sync(r))).To(Equal([]string{"inventory?", "-a", "bookmark"}))
	w.settled("edge-1", 0)
}

func TestAnotherClustersObjectsAreReplacedByForce(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	changed, same := configMap("changed", "10", "new"), configMap("same", "10", "same")
	w.put(changed)
	w.put(same)
	r := w.holding(changed.Object.Key, same.Object.Key)
	r.epoch = "another cluster"
	r.held[changed.Object.Key] = object.Holding{UID: "theirs", Version: "999", Digest: object.DigestOf([]byte("theirs"))}
	r.held[configMap("gone", "", "").Object.Key] = object.Holding{UID: "gone", Version: "999"}

	a := w.connect("edge-1")
	w.g.Expect(names(a.sync(r))).To(Equal([]string{"inventory?", "-gone", "!changed", "bookmark"}))
	w.g.Expect(r.epoch).To(Equal(epoch))
	w.settled("edge-1", 2)
}

func TestEqualInventoryOfAnotherClusterIsLookedAt(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	item := configMap("a", "10", "a")
	w.put(item)
	r := w.holding(item.Object.Key)
	r.epoch = "another cluster"
	w.g.Expect(names(w.connect("edge-1").sync(r))).To(Equal([]string{"inventory?", "bookmark"}))
}

func TestInventoryInParts(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	r := newReplica()
	r.epoch = epoch
	for i := range 10 {
		item := configMap(fmt.Sprint("a-", i), "10", "a")
		w.put(item)
		r.held[item.Object.Key] = w.index.Lookup("edge-1", item.Object.Key).Holding()
	}
	w.put(configMap("new", "11", "new"))
	a := w.connect("edge-1")
	a.send(hello(r))
	a.nextWelcome()
	w.g.Expect(a.next().GetNeedInventory()).NotTo(BeNil())
	entries := r.entries()
	a.send(inventoryPart(false, entries[:3]...), inventoryPart(false, entries[3:4]...))
	a.send(inventoryPart(false, entries[4:]...))
	a.send(inventoryPart(true))
	w.g.Expect(names(a.follow(r))).To(Equal([]string{"+new", "bookmark"}))
	w.settled("edge-1", 11)
}
