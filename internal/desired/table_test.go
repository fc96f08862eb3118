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
)

func TestObjectsComeAndGo(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(everything("s", configMaps))
	f.forget()

	f.table.Upsert(made(cm("d"), configMaps, "11", nil))
	g.Expect(f.eu.told()).To(Equal([]string{"d"}))
	g.Expect(f.sources).To(HaveKeyWithValue(id("s"), 1))
	f.table.Upsert(made(cm("d"), configMaps, "12", nil))
	g.Expect(f.eu.told()).To(Equal([]string{"d"}))
	f.table.Delete(cm("d"), "13")
	g.Expect(f.eu.told()).To(Equal([]string{"d"}))
	g.Expect(f.Lookup("eu-1", cm("d"))).To(Equal(Want{Seen: "13"}))
	f.table.Delete(cm("d"), "14")
	g.Expect(f.eu.told()).To(BeEmpty())
	g.Expect(f.Lookup("eu-1", cm("d"))).To(Equal(Want{Seen: "14"}))
}

func TestNewVersionOfTheSameContent(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(named("s", "a"))
	f.forget()
	again := made(cm("a"), configMaps, "1", labels.Set{"tier": "web"})
	again.Object.Version = "11"
	f.table.Upsert(again)
	g.Expect(f.eu.told()).To(BeEmpty())
	g.Expect(f.sources).To(HaveKey(id("s")), "its status names the version")
	want := f.Lookup("eu-1", cm("a"))
	g.Expect(want.Object.Version).To(Equal("11"))
	g.Expect(want.Seen).To(Equal("11"))
}

func TestObjectLabelsChange(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := everything("s", configMaps)
	s.ObjectSelector = selector(labels.Set{"tier": "web"})
	f.SetSource(s)
	f.forget()
	f.table.Upsert(made(cm("a"), configMaps, "11", labels.Set{"tier": "db"}))
	g.Expect(f.eu.told()).To(Equal([]string{"a"}), "it is no longer covered")
	g.Expect(f.wants("eu-1")).To(BeEmpty())
	f.checkView(g, s.ID, nil, []string{"eu-1", "us-1"})
	f.table.Upsert(made(cm("b"), configMaps, "12", labels.Set{"tier": "web"}))
	g.Expect(f.eu.told()).To(Equal([]string{"b"}))
	g.Expect(f.wants("eu-1")).To(Equal([]string{"b"}))
	f.table.Upsert(made(cm("c"), configMaps, "13", labels.Set{"tier": "db"}))
	g.Expect(f.eu.told()).To(BeEmpty(), "it was not covered, and is not now")
}

func TestReplace(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(everything("s", configMaps))
	f.forget()
	f.table.Replace([]Item{
		made(cm("a"), configMaps, "1", labels.Set{"tier": "web"}), made(cm("b"), configMaps, "15", nil), made(cm("d"), configMaps, "16", nil),
	}, "20")
	g.Expect(f.eu.told()).To(Equal([]string{"b in bulk", "c in bulk", "d in bulk"}))
	g.Expect(f.wants("eu-1")).To(Equal([]string{"a", "b", "d"}))
	g.Expect(f.Lookup("eu-1", cm("a")).Seen).To(Equal("20"))
	f.table.Replace([]Item{made(cm("a"), configMaps, "1", labels.Set{"tier": "web"})}, "15")
	g.Expect(f.Lookup("eu-1", cm("a")).Seen).To(Equal("15"), "a list may be of an earlier time")
}

func TestUnlistedKindsFreeze(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := everything("s", widgets)
	f.SetSource(s)
	g.Expect(f.Lookup("eu-1", widget("a"))).To(Equal(Want{Frozen: true}))
	kind, unlisted := f.Unlisted("eu-1")
	g.Expect(unlisted).To(BeTrue())
	g.Expect(kind).To(Equal(widgets))
	view, _ := f.View(s.ID)
	g.Expect(view.Listed).To(BeFalse())
	f.forget()

	table := f.Watch(widgets)
	table.Replace([]Item{made(widget("a"), widgets, "5", nil)}, "10")
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}))
	g.Expect(f.eu.rechecked()).To(BeTrue())
	g.Expect(f.sources).To(HaveKey(s.ID))
	g.Expect(f.Lookup("eu-1", widget("b"))).To(Equal(Want{Seen: "10"}), "listed: what is not there is deleted")
	view, _ = f.View(s.ID)
	g.Expect(view.Listed).To(BeTrue())
	_, unlisted = f.Unlisted("eu-1")
	g.Expect(unlisted).To(BeFalse())
	f.forget()

	table.Close()
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk"}))
	g.Expect(f.eu.rechecked()).To(BeTrue())
	g.Expect(f.Lookup("eu-1", widget("a"))).To(Equal(Want{Frozen: true}), "what it had may be long out of date")
	g.Expect(f.Lookup("eu-1", widget("b"))).To(Equal(Want{Frozen: true}))
	f.forget()

	f.Watch(widgets).Replace([]Item{made(widget("b"), widgets, "15", nil)}, "20")
	g.Expect(f.eu.told()).To(Equal([]string{"a in bulk", "b in bulk"}))
	g.Expect(f.Lookup("eu-1", widget("a"))).To(Equal(Want{Seen: "20"}))
}

func TestDeletingSourcesDoNotFreeze(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := everything("s", widgets)
	s.Deleting = true
	f.SetSource(s)
	g.Expect(f.Lookup("eu-1", widget("a")).Frozen).To(BeFalse())
}

func TestASuspendedSourceFreezesWhatItMayHaveCovered(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	s := everything("s", configMaps)
	s.ObjectSelector, s.Suspend, s.NodeName = selector(labels.Set{"tier": "web"}), true, "eu-1"
	f.SetSource(s)
	g.Expect(f.Lookup("eu-1", cm("a")).Frozen).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("gone")).Frozen).To(BeTrue(), "its labels are not known any longer")
	g.Expect(f.Lookup("us-1", cm("a")).Frozen).To(BeFalse(), "it does not select this node")
	g.Expect(f.Lookup("eu-1", widget("a")).Frozen).To(BeFalse())
}

func TestVersionsOfOneKind(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	stable, beta := everything("stable", widgets), everything("beta", widgetsB1)
	beta.Retain = true
	f.SetSource(beta)
	f.SetSource(everything("later-beta", widgetsB2))
	f.SetSource(stable)
	b1, b2, v1 := f.Watch(widgetsB1), f.Watch(widgetsB2), f.Watch(widgets)
	b1.Replace([]Item{made(widget("a"), widgetsB1, "5", nil)}, "30")
	g.Expect(f.Lookup("eu-1", widget("a")).Object.APIVersion).To(Equal("example.com/v1beta1"))
	b2.Replace([]Item{made(widget("a"), widgetsB2, "5", nil)}, "20")
	g.Expect(f.Lookup("eu-1", widget("a")).Object.APIVersion).To(Equal("example.com/v1beta2"))
	v1.Replace([]Item{made(widget("a"), widgets, "5", nil)}, "40")
	want := f.Lookup("eu-1", widget("a"))
	g.Expect(want.Object.APIVersion).To(Equal("example.com/v1"), "the most stable one that wants it")
	g.Expect(want.Retain).To(BeTrue(), "one Retain is enough, in whatever version")
	g.Expect(want.Seen).To(Equal("20"), "known only as far as in the version that lags most")

	f.DeleteSource(stable.ID)
	g.Expect(f.Lookup("eu-1", widget("a")).Object.APIVersion).To(Equal("example.com/v1beta2"))
	v1.Close()
	b2.Delete(widget("a"), "50")
	g.Expect(f.Lookup("eu-1", widget("a")).Object.APIVersion).To(Equal("example.com/v1beta1"))
	b1.Close()
	g.Expect(f.Lookup("eu-1", widget("a"))).To(Equal(Want{Frozen: true, Seen: "50"}))
}

func TestUnusedTablesAreForgotten(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	x := NewIndex(nil)
	s := everything("s", widgets)
	x.SetSource(s)
	x.DeleteSource(s.ID)
	g.Expect(x.tables).To(BeEmpty())
	x.SetSource(s)
	table := x.Watch(widgets)
	x.DeleteSource(s.ID)
	g.Expect(x.tables).To(HaveLen(1), "it is watched")
	table.Close()
	g.Expect(x.tables).To(BeEmpty())
	g.Expect(x.byKind).To(BeEmpty())
	s.Kind = configMaps
	x.SetSource(s)
	s.Kind = widgets
	x.SetSource(s)
	g.Expect(x.tables).To(HaveLen(1))
	g.Expect(x.tables).To(HaveKey(widgets))
}

func TestVersionsThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	seen := func() string { return f.Lookup("eu-1", cm("a")).Seen }
	for _, version := range []string{"", "0", "opaque", "007", "\xff", "9"} {
		f.table.Upsert(made(cm("d"), configMaps, version, nil))
		f.table.Delete(cm("d"), version)
		f.table.Bookmark(version)
		g.Expect(seen()).To(Equal("10"), "%q says nothing", version)
	}
	f.table.Bookmark("11")
	g.Expect(seen()).To(Equal("11"))
}
