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

package desired_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// The fleet of the benchmarks: objects are spread over namespaces; of ten sources, eight name
// a node, one selects the nodes of a region, and one selects objects too.
const (
	benchNodes, benchSources, benchSpaces, benchRegions = 10_000, 1_000, 10, 50
)

var benchKind = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

func benchNode(i int) string { return fmt.Sprintf("edge-%05d", i) }

func benchKey(i int) object.Key {
	return object.Key{Kind: "ConfigMap", Namespace: fmt.Sprintf("ns-%d", i%benchSpaces), Name: fmt.Sprintf("c-%d", i)}
}

func benchItem(i, content int) desired.Item {
	return desired.Item{
		Object: &object.Object{
			Key: benchKey(i), UID: fmt.Sprint(i), Version: fmt.Sprint(content + 1), Digest: object.DigestOf(fmt.Append(nil, content)),
		},
		Labels: labels.Set{"app": fmt.Sprintf("app-%d", i%100)},
	}
}

func benchRegion(i int) labels.Set {
	return labels.Set{"region": fmt.Sprintf("region-%d", i%benchRegions)}
}

func benchSource(i int) desired.Source {
	key := benchKey(i)
	s := desired.Source{
		ID: desired.SourceID{Namespace: key.Namespace, Name: fmt.Sprintf("s-%d", i)}, Kind: benchKind,
		ObjectName: key.Name, NodeName: benchNode(i * 7 % benchNodes),
	}
	if i%10 >= 8 {
		s.NodeName, s.NodeSelector = "", labels.SelectorFromSet(benchRegion(i))
	}
	if i%10 == 9 {
		s.ObjectName, s.ObjectSelector = "", labels.SelectorFromSet(labels.Set{"app": fmt.Sprintf("app-%d", i%100)})
	}
	return s
}

func benchIndex() (*desired.Index, *desired.Table) {
	index := desired.NewIndex(nil)
	for i := range benchNodes {
		index.SetNode(benchNode(i), benchRegion(i), desired.NodeSettings{})
	}
	for i := range benchSources {
		index.SetSource(benchSource(i))
	}
	table := index.Watch(benchKind)
	items := make([]desired.Item, 0, benchSources)
	for i := range benchSources {
		items = append(items, benchItem(i, 0))
	}
	table.Replace(items, "1")
	return index, table
}

func BenchmarkIndex(b *testing.B) {
	b.Run("fill", func(b *testing.B) {
		for b.Loop() {
			benchIndex()
		}
	})
	index, table := benchIndex()
	for name, do := range map[string]func(i int){
		"source of a node":       func(i int) { index.SetSource(benchSource(i % benchSources / 10 * 10)) },
		"source of a region":     func(i int) { index.SetSource(benchSource(i%benchSources/10*10 + 8)) },
		"node":                   func(i int) { index.SetNode(benchNode(i%benchNodes), benchRegion(i%benchNodes), desired.NodeSettings{}) },
		"node with other labels": func(i int) { index.SetNode(benchNode(i%benchNodes), benchRegion(i), desired.NodeSettings{}) },
		"object":                 func(i int) { table.Upsert(benchItem(i%benchSources, i)) },
		"sources of a key":       func(i int) { index.SourcesOf(benchNode(i%benchNodes), benchKey(i%benchSources)) },
		"lookup of a wanted key": func(i int) { s := benchSource(i % 100 * 10); index.Lookup(s.NodeName, benchKey(i%100*10)) },
		"lookup of an unwanted key": func(i int) {
			index.Lookup(benchNode(i%benchNodes), object.Key{Kind: "ConfigMap", Namespace: "ns-1", Name: "gone"})
		},
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				do(i)
				i++
			}
		})
	}
}
