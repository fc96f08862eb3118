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

package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

func TestLeftoversOfNodesThatAreExpectedBack(t *testing.T) {
	t.Parallel()
	key := object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "settings"}
	for name, covered := range map[string]func() *coverage{
		"the object is no longer wanted": func() *coverage {
			return &coverage{nodes: []string{"edge-1"}, goneKeys: map[object.Key]struct{}{key: {}}}
		},
		"the node is no longer covered": func() *coverage {
			return &coverage{goneNodes: map[string]struct{}{"edge-1": {}}, keys: []object.Key{key}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			index := desired.NewIndex(nil)
			index.SetNode("edge-1", labels.Set{}, desired.NodeSettings{})
			fleet := &fakeFleet{trigger: NewStatusTrigger(), nodes: map[string]*fakeNode{}}
			c := covered()

			for range 3 {
				left := c.leftovers(index, fleet, true)
				g.Expect(left.offline).To(BeTrue(), "however often it is asked")
				g.Expect(left.byNode).To(BeEmpty())
			}
			fleet.connect("edge-1", "s1")
			fleet.is("edge-1", delivery.HeldBack, key)
			heldBack := c.leftovers(index, fleet, true).heldBack()
			g.Expect(heldBack).To(BeTrue())

			fleet.leave("edge-1")
			g.Expect(c.leftovers(index, fleet, false).offline).To(BeTrue())
			g.Expect(c.leftovers(index, fleet, false).offline).To(BeFalse(), "a node that is not expected is settled")
		})
	}
}
