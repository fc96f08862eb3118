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
	"sync/atomic"
	"testing"
	"testing/synctest"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func infoOf(addresses ...string) *pb.HubInfo {
	return &pb.HubInfo{Addresses: addresses, Authorities: hubInfo.GetAuthorities()}
}

// A node is told of the hub if it does not know already, before its objects and after
// the question for its inventory, which must be the first after Welcome.
func TestNodesAreToldOfTheHub(t *testing.T) {
	for name, test := range map[string]struct {
		digest []byte
		held   string
		want   []string
	}{
		"knows it":                      {digest: hello(newReplica()).GetHello().GetHubInfoDigest(), want: []string{"+a", "bookmark"}},
		"knows nothing":                 {want: []string{"info https://hub.example:10443", "+a", "bookmark"}},
		"knows something else":          {digest: make([]byte, object.DigestSize), want: []string{"info https://hub.example:10443", "+a", "bookmark"}},
		"is asked for its inventory":    {held: "z", want: []string{"inventory?", "info https://hub.example:10443", "-z", "+a", "bookmark"}},
		"holds all that it should, too": {held: "a", want: []string{"info https://hub.example:10443", "bookmark"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newTCP(t))
			w.addNode("edge-1")
			w.put(configMap("a", "10", "a"))
			a, r := w.connect("edge-1"), newReplica()
			if test.held != "" {
				held := configMap(test.held, "10", test.held).Object
				r.held[held.Key] = object.Holding{UID: held.UID, Version: held.Version, Digest: held.Digest}
			}
			m := hello(r)
			m.GetHello().HubInfoDigest = test.digest
			a.send(m)
			a.nextWelcome()
			w.g.Expect(names(a.follow(r))).To(Equal(test.want))
		})
	}
}

// What changes meanwhile is told to whoever has a session, once however often it is announced.
func TestAnnounce(t *testing.T) {
	var current atomic.Pointer[pb.HubInfo]
	current.Store(hubInfo)
	inBubble(t, func(_ *testing.T, w *world) {
		w.addNode("edge-2")
		a, b, r := w.connect("edge-1"), w.connect("edge-2"), newReplica()
		a.sync(r)
		asked := hello(r)
		asked.GetHello().InventoryCount = 1
		b.send(asked)
		b.nextWelcome()
		w.g.Expect(b.next().GetNeedInventory()).NotTo(BeNil())

		w.hub.Announce()
		synctest.Wait()
		current.Store(infoOf("https://new.example:10443"))
		for range 10 {
			w.hub.Announce()
		}
		w.g.Expect(names([]*pb.HubMessage{a.next()})).To(Equal([]string{"info https://new.example:10443"}), "nothing when nothing had changed")
		w.put(configMap("a", "10", "a"))
		w.g.Expect(names(a.follow(r))).To(Equal([]string{"+a", "bookmark"}), "once")

		b.send(inventoryPart(true))
		w.g.Expect(names([]*pb.HubMessage{b.next()})).To(Equal([]string{"info https://new.example:10443"}), "as soon as it is its turn")
		w.g.Expect(names(b.follow(newReplica()))).To(Equal([]string{"+a", "bookmark"}))

		current.Store(hubInfo)
		w.hub.Announce()
		w.g.Expect(names([]*pb.HubMessage{b.next()})).To(Equal([]string{"info https://hub.example:10443"}))
	}, func(o *Options) { o.Info = current.Load })
}

func TestLabelsOfTheNode(t *testing.T) {
	w := newWorld(t, newTCP(t))
	w.addNode("edge-1")
	a, r := w.connect("edge-1"), newReplica()
	m := hello(r)
	m.GetHello().Labels = map[string]string{"zone": "north"}
	a.send(m)
	a.greet()
	a.follow(r)
	state, ok := w.hub.Node("edge-1")
	w.g.Expect(ok).To(BeTrue())
	w.g.Expect(state.Labels).To(Equal(map[string]string{"zone": "north"}))
}
