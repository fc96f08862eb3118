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

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// change is one call of Changed.
type change struct {
	keys int
	bulk bool
}

type recorder struct{ changes []change }

func (r *recorder) Changed(keys []object.Key, bulk bool) {
	r.changes = append(r.changes, change{len(keys), bulk})
}

func (*recorder) Recheck() {}

func configMaps(n int) []desired.Item {
	items := make([]desired.Item, 0, n)
	for i := range n {
		name := fmt.Sprintf("c%d", i)
		items = append(items, desired.Item{Object: &object.Object{
			Key: object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name}, UID: name, Version: "1",
		}})
	}
	return items
}

func TestAListIsOneChangeForANode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	kind := schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	index, node := desired.NewIndex(nil), &recorder{}
	index.SetNode("edge-1", nil, desired.NodeSettings{})
	index.SetSource(desired.Source{
		ID: desired.SourceID{Namespace: "shop", Name: "all"}, Kind: kind,
		ObjectSelector: labels.Everything(), NodeName: "edge-1",
	})
	table := index.Watch(kind)
	table.Replace(configMaps(20), "1")
	index.Attach("edge-1", node)

	table.Replace(configMaps(3), "2")
	g.Expect(node.changes).To(Equal([]change{{keys: 17, bulk: true}}), "a node that is told in parts could remove a part")

	node.changes = nil
	for _, item := range configMaps(2) {
		table.Delete(item.Object.Key, "3")
	}
	g.Expect(node.changes).To(Equal([]change{{keys: 1}, {keys: 1}}))
}
