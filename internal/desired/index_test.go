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

package desired

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/edgesync/edgesync/internal/object"
)

func TestSelectors(t *testing.T) {
	t.Parallel()
	tier := func(name string) labels.Selector { return selector(labels.Set{"tier": name}) }
	region := func(name string) labels.Selector { return selector(labels.Set{"region": name}) }
	for name, test := range map[string]struct {
		source Source
		eu, us []string
	}{
		"one object, all nodes":     {Source{ObjectName: "a", NodeSelector: labels.Everything()}, []string{"a"}, []string{"a"}},
		"one object, one node":      {Source{ObjectName: "a", NodeName: "us-1"}, []string{}, []string{"a"}},
		"selected, all nodes":       {Source{ObjectSelector: tier("db"), NodeSelector: labels.Everything()}, []string{"b"}, []string{"b"}},
		"selected, selected":        {Source{ObjectSelector: tier("web"), NodeSelector: region("eu")}, []string{"a"}, []string{}},
		"all, one node":             {Source{ObjectSelector: labels.Everything(), NodeName: "eu-1"}, []string{"a", "b", "c"}, []string{}},
		"nothing, all nodes":        {Source{ObjectSelector: labels.Nothing(), NodeSelector: labels.Everything()}, []string{}, []string{}},
		"all, no node":              {Source{ObjectSelector: labels.Everything(), NodeSelector: labels.Nothing()}, []string{}, []string{}},
		"an object that is not":     {Source{ObjectName: "d", NodeSelector: labels.Everything()}, []string{}, []string{}},
		"a node that is not":        {Source{ObjectName: "a", NodeName: "asia-1"}, []string{}, []string{}},
		"being deleted":             {Source{ObjectName: "a", NodeName: "eu-1", Deleting: true}, []string{}, []string{}},
		"suspended":                 {Source{ObjectName: "a", NodeName: "eu-1", Suspend: true}, []string{}, []string{}},
		"the name, not the labels":  {Source{ObjectName: "c", ObjectSelector: tier("web"), NodeName: "eu-1"}, []string{"c"}, []string{}},
		"the node name, not labels": {Source{ObjectName: "a", NodeName: "us-1", NodeSelector: region("eu")}, []string{}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sourceFirst := range []bool{false, true} {
				g := NewWithT(t)
				f := newFixture(t)
				test.source.ID, test.source.Kind = id("s"), configMaps
				if sourceFirst {
					f.Index = NewIndex(nil)
					f.SetSource(test.source)
					f.Watch(configMaps).Replace([]Item{
						made(cm("a"), configMaps, "1", labels.Set{"tier": "web"}),
						made(cm("b"), configMaps, "2", labels.Set{"tier": "db"}),
						made(cm("c"), configMaps, "3", nil),
					}, "10")
					f.SetNode("eu-1", labels.Set{"region": "eu"}, NodeSettings{})
					f.SetNode("us-1", labels.Set{"region": "us"}, NodeSettings{})
				} else {
					f.SetSource(test.source)
				}
				g.Expect(f.wants("eu-1")).To(Equal(test.eu))
				g.Expect(f.wants("us-1")).To(Equal(test.us))
			}
		})
	}
}

func TestSourcesStayInTheirNamespace(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	elsewhere := object.Key{Kind: "ConfigMap", Namespace: "other", Name: "a"}
	f.table.Upsert(made(elsewhere, configMaps, "11", nil))
	f.SetSource(everything("s", configMaps))
	g.Expect(f.Lookup("eu-1", elsewhere)).To(Equal(Want{Seen: "11"}))

	cluster := everything("c", namespaces)
	cluster.ID.Namespace = ""
	f.SetSource(cluster)
	shop := object.Key{Kind: "Namespace", Name: "shop"}
	f.Watch(namespaces).Replace([]Item{made(shop, namespaces, "1", nil)}, "10")
	g.Expect(f.Lookup("eu-1", shop).Object).NotTo(BeNil())
	g.Expect(f.Lookup("eu-1", elsewhere).Object).To(BeNil())
}

func TestOverlappingSources(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	keep := named("keep", "a")
	keep.Retain = true
	f.SetSource(named("plain", "a"))
	f.SetSource(keep)
	g.Expect(f.Lookup("eu-1", cm("a")).Retain).To(BeTrue(), "one Retain is enough")
	g.Expect(sortedIDs(f.SourcesOf("eu-1", cm("a")))).To(Equal([]SourceID{id("keep"), id("plain")}))

	keep.Suspend = true
	f.SetSource(keep)
	want := f.Lookup("eu-1", cm("a"))
	g.Expect(want.Object).NotTo(BeNil(), "the other one goes on wanting it")
	g.Expect(want.Retain).To(BeFalse())
	g.Expect(want.Frozen).To(BeFalse())

	f.DeleteSource(id("plain"))
	g.Expect(f.Lookup("eu-1", cm("a"))).To(Equal(Want{Frozen: true, Seen: "10"}))
	f.DeleteSource(id("keep"))
	g.Expect(f.Lookup("eu-1", cm("a"))).To(Equal(Want{Seen: "10"}))
	f.DeleteSource(id("keep"))
}

func TestNodeLabelsChange(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := everything("s", configMaps)
	s.NodeSelector = selector(labels.Set{"region": "eu"})
	f.SetSource(s)
	f.checkView(g, s.ID, []string{"a", "b", "c"}, []string{"eu-1"})
	f.forget()

	f.SetNode("us-1", labels.Set{"region": "eu"}, NodeSettings{})
	g.Expect(f.us.told()).To(Equal([]string{"a in bulk", "b in bulk", "c in bulk"}))
	g.Expect(f.eu.told()).To(BeEmpty())
	g.Expect(f.wants("us-1")).To(HaveLen(3))
	f.checkView(g, s.ID, []string{"a", "b", "c"}, []string{"eu-1", "us-1"})
	g.Expect(f.sources).To(HaveKey(s.ID))

	f.SetNode("us-1", labels.Set{"region": "eu", "more": "labels"}, NodeSettings{})
	g.Expect(f.us.told()).To(BeEmpty(), "no source cares")

	f.SetNode("eu-1", nil, NodeSettings{})
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk", "b in bulk", "c in bulk"}))
	g.Expect(f.wants("eu-1")).To(BeEmpty())
}

func TestSuspendedNode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(named("s", "a"))
	f.forget()
	f.SetNode("eu-1", labels.Set{"region": "eu"}, NodeSettings{Suspend: true, Approval: "1234"})
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}))
	g.Expect(f.eu.rechecked()).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("b")).Frozen).To(BeTrue(), "what it holds beyond that too")
	g.Expect(f.Lookup("us-1", cm("a")).Frozen).To(BeFalse())
	settings, ok := f.Node("eu-1")
	g.Expect(ok).To(BeTrue())
	g.Expect(settings.Approval).To(Equal("1234"))

	f.SetNode("eu-1", labels.Set{"region": "eu"}, NodeSettings{})
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}))
	g.Expect(f.eu.rechecked()).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeFalse())
}

func TestNodeDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := named("s", "a")
	s.NodeSelector = selector(labels.Set{"region": "eu"})
	f.SetSource(s)
	f.Await("eu-1", cm("a"), "20")
	f.forget()
	f.DeleteNode("eu-1")
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}))
	g.Expect(f.eu.rechecked()).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("a"))).To(Equal(Want{Frozen: true}))
	g.Expect(f.SourcesOf("eu-1", cm("a"))).To(BeEmpty())
	_, ok := f.Node("eu-1")
	g.Expect(ok).To(BeFalse())
	f.checkView(g, s.ID, []string{"a"}, nil)
	g.Expect(f.table.Awaited()).To(BeEmpty())
	f.table.Rewind([]string{"20"}, "15")

	f.SetNode("eu-1", labels.Set{"region": "asia"}, NodeSettings{})
	g.Expect(f.eu.rechecked()).To(BeTrue(), "its session is still there, and looks up what was frozen")
	g.Expect(f.Lookup("eu-1", cm("a")).Object).To(BeNil())
	f.SetNode("eu-1", labels.Set{"region": "eu"}, NodeSettings{})
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}))
	f.DeleteNode("nobody")
}

func TestSessionBeforeItsNode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(named("s", "a"))
	early, later := &sink{}, &sink{}
	g.Expect(f.Attach("asia-1", early)).To(BeEmpty())
	g.Expect(f.Attach("asia-1", later)).To(BeEmpty())
	f.Detach("asia-1", early)
	f.Await("asia-1", cm("a"), "20")
	g.Expect(f.Lookup("asia-1", cm("a")).Frozen).To(BeTrue())
	f.SetNode("asia-1", nil, NodeSettings{})
	g.Expect(later.told()).To(Equal([]string{"a in bulk"}))
	g.Expect(later.rechecked()).To(BeTrue())
	g.Expect(early.told()).To(BeEmpty())

	f.Attach("africa-1", early)
	f.Detach("africa-1", early)
	f.SetNode("africa-1", nil, NodeSettings{})
	g.Expect(early.told()).To(BeEmpty())
}

func TestAttachSupersedes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(named("s", "a"))
	f.forget()
	newer := &sink{}
	g.Expect(f.Attach("eu-1", newer)).To(Equal([]object.Key{cm("a")}))
	f.Detach("eu-1", f.eu)
	f.table.Upsert(made(cm("a"), configMaps, "11", nil))
	g.Expect(newer.told()).To(Equal([]string{"a"}))
	g.Expect(f.eu.told()).To(BeEmpty())
	f.Detach("eu-1", newer)
	f.table.Upsert(made(cm("a"), configMaps, "12", nil))
	g.Expect(newer.told()).To(BeEmpty())
}

func TestSourceChangesTellWhatTheyTouch(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := named("s", "a")
	s.NodeName = "eu-1"
	f.SetSource(s)
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}))
	g.Expect(f.us.told()).To(BeEmpty())

	s.ObjectName, s.NodeName = "b", "us-1"
	f.SetSource(s)
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}), "what it no longer covers")
	g.Expect(f.us.told()).To(Equal([]string{"b in bulk"}))
	g.Expect(f.wants("eu-1")).To(BeEmpty())

	f.forget()
	s.Suspend = true
	f.SetSource(s)
	g.Expect(f.us.told()).To(Equal([]string{"b in bulk"}))
	g.Expect(f.us.rechecked()).To(BeTrue())

	f.DeleteSource(s.ID)
	g.Expect(f.us.told()).To(Equal([]string{"b in bulk"}))
	g.Expect(f.eu.told()).To(BeEmpty())
	_, ok := f.View(s.ID)
	g.Expect(ok).To(BeFalse())
}

func TestApproval(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := named("s", "d")
	s.NodeName = "eu-1"
	f.SetSource(s)
	g.Expect(f.Lookup("eu-1", cm("d")).Approved).To(BeFalse())
	f.forget()
	s.ApproveDeletes, s.NodeName = true, "us-1"
	f.SetSource(s)
	g.Expect(f.eu.rechecked()).To(BeTrue(), "also where it selected once")
	g.Expect(f.Lookup("eu-1", cm("d")).Approved).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("a")).Approved).To(BeFalse(), "not what it could never cover")
	s.Deleting = true
	f.SetSource(s)
	g.Expect(f.Lookup("eu-1", cm("d"))).To(Equal(Want{Approved: true, Seen: "10"}))
	f.DeleteSource(s.ID)
	g.Expect(f.Lookup("eu-1", cm("d")).Approved).To(BeFalse())
}

// The race detector watches; whatever comes of it must be in order at the end.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	x := NewIndex(nil)
	table := x.Watch(configMaps)
	table.Replace(nil, "1")
	var users sync.WaitGroup
	for user := range uint64(6) {
		users.Go(func() {
			random := rand.New(rand.NewPCG(user, 0))
			for i := range 300 {
				name := fmt.Sprintf("x%d", random.IntN(5))
				switch random.IntN(9) {
				case 0:
					x.SetNode(name, labels.Set{"region": name}, NodeSettings{Suspend: random.IntN(2) == 0})
				case 1:
					x.DeleteNode(name)
				case 2:
					x.SetSource(named(name, name))
				case 3:
					x.DeleteSource(id(name))
				case 4:
					table.Upsert(made(cm(name), configMaps, fmt.Sprint(i+2), nil))
				case 5:
					table.Delete(cm(name), fmt.Sprint(i+2))
				case 6:
					own := &counter{}
					x.Attach(name, own)
					x.Await(name, cm(name), fmt.Sprint(i+100))
					x.Detach(name, own)
				case 7:
					table.Rewind(table.Awaited(), fmt.Sprint(i))
				default:
					x.Lookup(name, cm(name))
					x.View(id(name))
					x.SourcesOf(name, cm(name))
				}
			}
		})
	}
	users.Wait()
	for i := range 5 {
		name := fmt.Sprintf("x%d", i)
		x.SetNode(name, nil, NodeSettings{})
		x.SetSource(named(name, name))
		table.Upsert(made(cm(name), configMaps, "1000", nil))
		g.Expect(x.Lookup(name, cm(name)).Object).NotTo(BeNil())
	}
}

// counter may be told at once by several goroutines, one at a time.
type counter struct{ told int }

func (c *counter) Changed([]object.Key, bool) { c.told++ }
func (c *counter) Recheck()                   { c.told++ }
