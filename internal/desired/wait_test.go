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
)

func TestAwait(t *testing.T) {
	t.Parallel()
	for name, arrive := range map[string]func(f *fixture){
		"another object": func(f *fixture) { f.table.Upsert(made(cm("d"), configMaps, "20", nil)) },
		"a deletion":     func(f *fixture) { f.table.Delete(cm("b"), "20") },
		"a bookmark":     func(f *fixture) { f.table.Bookmark("20") },
		"a later one":    func(f *fixture) { f.table.Bookmark("100") },
		"a list":         func(f *fixture) { f.table.Replace(nil, "20") },
		"the end":        func(f *fixture) { f.table.Close() },
	} {
		g := NewWithT(t)
		f := newFixture(t)
		f.Await("eu-1", cm("a"), "20")
		f.table.Bookmark("19")
		g.Expect(f.eu.told()).To(BeEmpty(), name)
		g.Expect(f.table.Awaited()).To(Equal([]string{"20"}), name)
		arrive(f)
		g.Expect(f.eu.told()).To(ContainElement("a"), name)
		g.Expect(f.us.told()).To(BeEmpty(), name)
		g.Expect(f.table.Awaited()).To(BeEmpty(), name)
	}
}

func TestAwaitWhatIsThere(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	for _, version := range []string{"10", "9", "opaque", ""} {
		f.Await("eu-1", cm("a"), version)
		g.Expect(f.eu.told()).To(Equal([]string{"a"}), version)
	}
	f.Await("eu-1", widget("a"), "20")
	g.Expect(f.eu.told()).To(Equal([]string{"a"}), "nothing uses the kind, so nothing will come")
	f.SetSource(everything("s", widgets))
	f.Await("eu-1", widget("a"), "20")
	g.Expect(f.eu.told()).To(Equal([]string{"a"}), "not listed: it is frozen")
	f.Await("nobody", cm("a"), "20")
	f.Detach("eu-1", f.eu)
	f.Await("eu-1", cm("a"), "20")
	g.Expect(f.table.Awaited()).To(BeEmpty())
}

// Of a kind in two versions, only the one that lags has something to say.
func TestAwaitWithTwoVersions(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.SetSource(everything("beta", widgetsB1))
	f.SetSource(everything("stable", widgets))
	beta, stable := f.Watch(widgetsB1), f.Watch(widgets)
	beta.Replace(nil, "10")
	stable.Replace(nil, "30")
	f.forget()
	f.Await("eu-1", widget("a"), "20")
	g.Expect(f.eu.told()).To(BeEmpty(), "or it would ask again at once, and so on")
	g.Expect(stable.Awaited()).To(BeEmpty())
	g.Expect(beta.Awaited()).To(Equal([]string{"20"}))
	beta.Bookmark("20")
	g.Expect(f.eu.told()).To(Equal([]string{"a"}))
}

func TestRewind(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.Await("eu-1", cm("a"), "20")
	f.Await("us-1", cm("b"), "30")
	awaited := f.table.Awaited()
	g.Expect(awaited).To(Equal([]string{"20", "30"}))
	f.Await("eu-1", cm("c"), "40")

	f.table.Rewind(awaited, "25")
	g.Expect(f.eu.told()).To(BeEmpty(), "20 may exist, and 40 was not asked about")
	g.Expect(f.us.told()).To(Equal([]string{"b"}))
	g.Expect(f.Lookup("us-1", cm("b")).Rewound).To(BeTrue())
	g.Expect(f.Lookup("eu-1", cm("b")).Rewound).To(BeFalse())
	g.Expect(f.Lookup("eu-1", cm("a")).Rewound).To(BeFalse())
	g.Expect(f.table.Awaited()).To(Equal([]string{"20", "40"}))

	f.table.Bookmark("30")
	g.Expect(f.Lookup("us-1", cm("b")).Rewound).To(BeFalse(), "from here on the versions say it all")
	f.table.Rewind([]string{"40"}, "opaque")
	g.Expect(f.Lookup("eu-1", cm("c")).Rewound).To(BeFalse())
}

func TestWhatIsAwaitedEndsWithTheSession(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	f := newFixture(t)
	f.Await("eu-1", cm("a"), "20")
	f.Await("us-1", cm("a"), "30")
	f.Detach("eu-1", f.eu)
	g.Expect(f.table.Awaited()).To(Equal([]string{"30"}))
	f.table.Rewind([]string{"30"}, "25")
	newer := &sink{}
	f.Attach("us-1", newer)
	g.Expect(f.Lookup("us-1", cm("a")).Rewound).To(BeFalse(), "the newer session holds something else perhaps")
}
