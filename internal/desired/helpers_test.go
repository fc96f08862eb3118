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
	"cmp"
	"fmt"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/object"
)

var (
	configMaps = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	namespaces = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	widgets    = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	widgetsB1  = schema.GroupVersionKind{Group: "example.com", Version: "v1beta1", Kind: "Widget"}
	widgetsB2  = schema.GroupVersionKind{Group: "example.com", Version: "v1beta2", Kind: "Widget"}
)

func cm(name string) object.Key { return object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name} }

func widget(name string) object.Key {
	return object.Key{Group: "example.com", Kind: "Widget", Namespace: "shop", Name: name}
}

// made is an object whose content is its version and the API version.
func made(key object.Key, gvk schema.GroupVersionKind, version string, set labels.Set) Item {
	return Item{
		Object: &object.Object{
			Key: key, APIVersion: gvk.GroupVersion().String(), UID: "uid-" + key.Name, Version: version,
			Digest: object.DigestOf([]byte(gvk.Version + "/" + version)),
		},
		Labels: set,
	}
}

func id(name string) SourceID { return SourceID{Namespace: "shop", Name: name} }

// named is a source of one object for all nodes.
func named(name, objectName string) Source {
	return Source{ID: id(name), Kind: configMaps, ObjectName: objectName, NodeSelector: labels.Everything()}
}

// everything is a source of all objects of a kind for all nodes.
func everything(name string, gvk schema.GroupVersionKind) Source {
	return Source{ID: id(name), Kind: gvk, ObjectSelector: labels.Everything(), NodeSelector: labels.Everything()}
}

func selector(set labels.Set) labels.Selector { return labels.SelectorFromSet(set) }

// sink notes what it is told, in an order that does not depend on maps.
type sink struct {
	changed []string
	checks  int
}

func (s *sink) Changed(keys []object.Key, bulk bool) {
	for _, key := range keys {
		word := key.Name
		if bulk {
			word += " in bulk"
		}
		s.changed = append(s.changed, word)
	}
}

func (s *sink) Recheck() { s.checks++ }

// told is what the sink was told since the last call, each once.
func (s *sink) told() []string {
	told := slices.Compact(slices.Sorted(slices.Values(s.changed)))
	s.changed = nil
	if told == nil {
		told = []string{}
	}
	return told
}

func (s *sink) rechecked() bool {
	checks := s.checks
	s.checks = 0
	return checks > 0
}

// fixture is an index with nodes eu-1 and us-1, and a listed table of config maps
// a (tier web), b (tier db) and c (no labels).
type fixture struct {
	*Index
	table   *Table
	eu, us  *sink
	sources map[SourceID]int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{eu: &sink{}, us: &sink{}, sources: map[SourceID]int{}}
	f.Index = NewIndex(func(id SourceID) { f.sources[id]++ })
	f.SetNode("eu-1", labels.Set{"region": "eu"}, NodeSettings{})
	f.SetNode("us-1", labels.Set{"region": "us"}, NodeSettings{})
	f.Attach("eu-1", f.eu)
	f.Attach("us-1", f.us)
	f.table = f.Watch(configMaps)
	f.table.Replace([]Item{
		made(cm("a"), configMaps, "1", labels.Set{"tier": "web"}),
		made(cm("b"), configMaps, "2", labels.Set{"tier": "db"}),
		made(cm("c"), configMaps, "3", nil),
	}, "10")
	return f
}

// forget what has been told so far.
func (f *fixture) forget() {
	f.eu.told()
	f.us.told()
	f.eu.checks, f.us.checks = 0, 0
	clear(f.sources)
}

// wants are the names of the config maps that a node should hold.
func (f *fixture) wants(node string) []string {
	names := []string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		if f.Lookup(node, cm(name)).Object != nil {
			names = append(names, name)
		}
	}
	return names
}

// checkView: what the index says of a source agrees with its lookups.
func (f *fixture) checkView(g Gomega, id SourceID, objects, nodes []string) {
	view, ok := f.View(id)
	g.ExpectWithOffset(1, ok).To(BeTrue())
	var names []string
	for _, o := range view.Objects {
		names = append(names, o.Name)
	}
	g.ExpectWithOffset(1, names).To(Equal(objects))
	g.ExpectWithOffset(1, view.Nodes).To(Equal(nodes))
}

func sortedIDs(ids []SourceID) []SourceID {
	slices.SortFunc(ids, func(a, b SourceID) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return ids
}
