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
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
)

// rolling is a source of all objects for all nodes, those of the region us first.
func rolling(name string) Source {
	s := everything(name, configMaps)
	s.Rollout = &rollout.Order{Label: "region", Values: []string{"us"}}
	return s
}

func (f *fixture) revision(name string) string {
	view, _ := f.View(id(name))
	return view.Revision
}

// release lets a source go through some place, with what it covers now.
func (f *fixture) release(name, through string) {
	f.SetRollout(id(name), rollout.Cursor{Revision: f.revision(name), Through: through})
}

func TestNodesWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(rolling("s"))
	a := f.Lookup("us-1", cm("a"))
	g.Expect(a.Frozen && a.Waiting).To(BeTrue())
	g.Expect(a.Object).NotTo(BeNil(), "it is what the node gets in its turn")
	g.Expect(f.Released(id("s"), "us-1")).To(BeFalse())

	f.forget()
	f.release("s", "00/us-1")
	g.Expect(f.us.told()).To(Equal([]string{"a in bulk", "b in bulk", "c in bulk"}))
	g.Expect(f.us.rechecked()).To(BeTrue())
	g.Expect(f.eu.rechecked()).To(BeFalse(), "nothing is news to it")
	g.Expect(f.eu.told()).To(BeEmpty())
	g.Expect(f.sources).To(HaveKey(id("s")))
	g.Expect(f.Lookup("us-1", cm("a")).Frozen).To(BeFalse())
	g.Expect(f.Lookup("us-1", cm("a")).Waiting).To(BeFalse())
	g.Expect(f.Lookup("eu-1", cm("a")).Waiting).To(BeTrue())
	g.Expect(f.Released(id("s"), "us-1")).To(BeTrue())
	g.Expect(f.Released(id("s"), "eu-1")).To(BeFalse())
	view, _ := f.View(id("s"))
	g.Expect(view.Turns).To(Equal([]Turn{
		{Node: "us-1", Place: "00/us-1"}, {Node: "eu-1", Place: "01/eu-1", Waiting: true},
	}))
	g.Expect(view.Cursor).To(Equal(rollout.Cursor{Revision: view.Revision, Through: "00/us-1"}))

	f.forget()
	f.release("s", rollout.End)
	g.Expect(f.eu.rechecked()).To(BeTrue())
	g.Expect(f.us.rechecked()).To(BeFalse())
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeFalse())

	f.SetNode("asia-1", nil, NodeSettings{})
	g.Expect(f.Lookup("asia-1", cm("a")).Frozen).To(BeFalse(), "one that joins later gets it at once")
	f.forget()
	f.release("s", rollout.End)
	g.Expect(f.eu.rechecked()).To(BeFalse(), "nothing has changed")
	g.Expect(f.sources).To(BeEmpty())
}

func TestAChangeWaitsForItsRollout(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fixture){
		"an object changes":    func(f *fixture) { f.table.Upsert(made(cm("a"), configMaps, "11", nil)) },
		"an object is new":     func(f *fixture) { f.table.Upsert(made(cm("d"), configMaps, "11", nil)) },
		"an object is deleted": func(f *fixture) { f.table.Delete(cm("b"), "11") },
		"the list is another":  func(f *fixture) { f.table.Replace([]Item{made(cm("a"), configMaps, "1", nil)}, "11") },
		"an object is recreated": func(f *fixture) {
			again := made(cm("a"), configMaps, "1", nil)
			again.Object.UID = "other"
			f.table.Upsert(again)
		},
		"the source selects less": func(f *fixture) {
			s := rolling("s")
			s.ObjectSelector = selector(labels.Set{"tier": "db"})
			f.SetSource(s)
		},
		"it selects other nodes": func(f *fixture) {
			s := rolling("s")
			s.NodeSelector = selector(labels.Set{"region": "us"})
			f.SetSource(s)
		},
		"the order is another": func(f *fixture) { s := rolling("s"); s.Rollout = &rollout.Order{}; f.SetSource(s) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			f := newFixture(t)
			f.SetSource(rolling("s"))
			f.release("s", rollout.End)
			before := f.revision("s")
			change(f)
			g.Expect(f.revision("s")).NotTo(Equal(before))
			for _, key := range []object.Key{cm("a"), cm("b"), cm("c"), cm("d")} {
				want := f.Lookup("us-1", key)
				g.Expect(want.Frozen && want.Waiting).To(BeTrue(), key.Name)
			}
			f.release("s", "00/us-1")
			for _, key := range []object.Key{cm("a"), cm("b"), cm("c"), cm("d")} {
				g.Expect(f.Lookup("us-1", key).Frozen).To(BeFalse(), key.Name)
			}
		})
	}
}

func TestWhatIsNoChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fixture){
		"a new version of the same": func(f *fixture) {
			again := made(cm("a"), configMaps, "1", labels.Set{"tier": "web"})
			again.Object.Version = "11"
			f.table.Upsert(again)
		},
		"other labels that are selected as well": func(f *fixture) { f.table.Upsert(made(cm("a"), configMaps, "1", nil)) },
		"the same source":                        func(f *fixture) { f.SetSource(rolling("s")) },
		"the same list": func(f *fixture) {
			f.table.Replace([]Item{made(cm("c"), configMaps, "3", nil), made(cm("b"), configMaps, "2", nil), made(cm("a"), configMaps, "1", nil)}, "11")
		},
		"an object of another namespace": func(f *fixture) {
			f.table.Upsert(made(object.Key{Kind: "ConfigMap", Namespace: "other", Name: "a"}, configMaps, "11", nil))
		},
		"it is changed back": func(f *fixture) { f.table.Delete(cm("a"), "11"); f.table.Upsert(made(cm("a"), configMaps, "1", nil)) },
		"a node joins":       func(f *fixture) { f.SetNode("us-2", labels.Set{"region": "us"}, NodeSettings{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			f := newFixture(t)
			f.SetSource(rolling("s"))
			f.release("s", rollout.End)
			before := f.revision("s")
			change(f)
			g.Expect(f.revision("s")).To(Equal(before))
			g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeFalse())
		})
	}
}

func TestOneSourceThatReleasesIsEnough(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	retaining := rolling("s")
	retaining.Retain = true
	f.SetSource(retaining)
	f.SetSource(named("plain", "a"))
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeFalse())
	g.Expect(f.Lookup("eu-1", cm("a")).Waiting).To(BeFalse())
	g.Expect(f.Lookup("eu-1", cm("a")).Retain).To(BeTrue(), "one Retain is enough")
	g.Expect(f.Lookup("eu-1", cm("b")).Waiting).To(BeTrue())

	f.DeleteSource(id("plain"))
	g.Expect(f.Lookup("eu-1", cm("a")).Waiting).To(BeTrue())
	f.DeleteSource(id("s"))
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeFalse())
}

func TestADeletionWaitsForAnySourceThatMayHaveCoveredIt(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(rolling("s"))
	gone := f.Lookup("eu-1", cm("gone"))
	g.Expect(gone).To(Equal(Want{Frozen: true, Waiting: true, Seen: "10"}))
	f.release("s", rollout.End)
	g.Expect(f.Lookup("eu-1", cm("gone")).Frozen).To(BeFalse())

	other := named("other", "gone")
	other.Rollout = &rollout.Order{}
	f.SetSource(other)
	g.Expect(f.Lookup("eu-1", cm("gone")).Waiting).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("gone-too")).Frozen).To(BeFalse())
	other.Deleting = true
	f.SetSource(other)
	g.Expect(f.Lookup("eu-1", cm("gone")).Frozen).To(BeFalse(), "it wants nothing any longer")
}

func TestAPlaceFollowsTheLabels(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(rolling("s"))
	f.release("s", "00/us-1")
	f.forget()
	f.SetNode("eu-1", labels.Set{"region": "us"}, NodeSettings{})
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk", "b in bulk", "c in bulk"}))
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeFalse())
	g.Expect(f.sources).To(HaveKey(id("s")), "the order of its nodes is another")
	f.SetNode("us-1", labels.Set{"region": "eu"}, NodeSettings{})
	g.Expect(f.us.told()).To(Equal([]string{"a in bulk", "b in bulk", "c in bulk"}))
	g.Expect(f.Lookup("us-1", cm("a")).Waiting).To(BeTrue())
}

func TestACursorThatGoesBackIsTold(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(rolling("s"))
	f.release("s", rollout.End)
	f.forget()
	f.release("s", "00/us-1")
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk", "b in bulk", "c in bulk"}))
	g.Expect(f.us.told()).To(BeEmpty())
	g.Expect(f.Lookup("eu-1", cm("a")).Waiting).To(BeTrue())
}

func TestAChangeStopsTheOneBefore(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(rolling("s"))
	f.release("s", "00/us-1")
	f.forget()
	f.table.Upsert(made(cm("a"), configMaps, "11", nil))
	g.Expect(f.us.told()).To(Equal([]string{"a", "a in bulk", "b in bulk", "c in bulk"}), "what it has not got yet waits again")
	g.Expect(f.us.rechecked()).To(BeTrue())
	g.Expect(f.eu.told()).To(Equal([]string{"a"}))
	g.Expect(f.eu.rechecked()).To(BeFalse())

	f.table.Upsert(made(cm("a"), configMaps, "1", labels.Set{"tier": "web"}))
	g.Expect(f.us.rechecked()).To(BeTrue(), "it is as it was when its turn came")
	g.Expect(f.Lookup("us-1", cm("b")).Frozen).To(BeFalse())
}

func TestRolloutsComeAndGo(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetRollout(id("s"), rollout.Cursor{Revision: "r", Through: rollout.End}) // of no source
	f.SetSource(everything("s", configMaps))
	g.Expect(f.Released(id("s"), "eu-1")).To(BeTrue())
	g.Expect(f.Released(id("other"), "eu-1")).To(BeFalse())
	g.Expect(f.Released(id("s"), "nobody")).To(BeFalse())
	view, _ := f.View(id("s"))
	g.Expect(view.Revision).NotTo(BeEmpty())
	g.Expect(view.Turns).To(BeNil())

	f.SetSource(rolling("s"))
	g.Expect(f.Lookup("eu-1", cm("a")).Waiting).To(BeTrue())
	f.release("s", rollout.End)
	f.SetSource(rolling("s"))
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeFalse(), "what is released outlives an edit")

	suspended := rolling("s")
	suspended.Suspend = true
	f.SetSource(suspended)
	g.Expect(f.Lookup("eu-1", cm("a"))).To(Equal(Want{Frozen: true, Seen: "10"}))
}

func TestRevisionsAreTheSameInEveryReplica(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	one, other := newFixture(t), NewIndex(nil)
	one.SetSource(rolling("s"))
	one.table.Upsert(made(cm("d"), configMaps, "11", nil))
	one.table.Delete(cm("a"), "12")
	table := other.Watch(configMaps)
	table.Replace([]Item{made(cm("d"), configMaps, "11", nil), made(cm("c"), configMaps, "3", nil), made(cm("b"), configMaps, "2", nil)}, "12")
	other.SetSource(rolling("s"))
	view, _ := other.View(id("s"))
	g.Expect(view.Revision).To(Equal(one.revision("s")))
}
