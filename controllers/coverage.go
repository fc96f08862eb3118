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
	"cmp"
	"maps"
	"slices"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// coverage is what a sync covers, and what it has covered and may have left on nodes.
type coverage struct {
	// nodes and keys are what it covers, in order.
	nodes []string
	keys  []object.Key
	// goneNodes and goneKeys are what it covered once, until they are known to be
	// without what nothing wants there.
	goneNodes map[string]struct{}
	goneKeys  map[object.Key]struct{}
}

// see takes over what the sync covers now. Both are in order, and not changed later.
func (c *coverage) see(nodes []string, keys []object.Key) {
	c.goneNodes = gone(c.goneNodes, c.nodes, nodes, cmp.Compare[string])
	c.goneKeys = gone(c.goneKeys, c.keys, keys, object.Key.Compare)
	c.nodes, c.keys = nodes, keys
}

func gone[T comparable](already map[T]struct{}, before, now []T, compare func(T, T) int) map[T]struct{} {
	if already == nil {
		already = map[T]struct{}{}
	}
	for _, element := range before {
		already[element] = struct{}{}
	}
	maps.DeleteFunc(already, func(element T, _ struct{}) bool {
		_, found := slices.BinarySearchFunc(now, element, compare)
		return found
	})
	return already
}

// leftover is what a sync has left on one node.
type leftover struct {
	progress delivery.Progress
	failures []delivery.Failure
}

// leftovers are what a sync has left on the nodes that it covers or covered.
type leftovers struct {
	// byNode holds the connected nodes with something left.
	byNode map[string]leftover
	// onGoneNodes says that byNode has nodes that the sync no longer covers.
	onGoneNodes bool
	// offline says that there are nodes of which nobody knows.
	offline bool
}

// heldBack reports whether some of what is left waits for approval.
func (l leftovers) heldBack() bool {
	for _, node := range l.byNode {
		if node.progress == delivery.HeldBack {
			return true
		}
	}
	return false
}

// leftovers finds what is left, and forgets what is settled. A node that is offline
// is settled, unless it is expected back any moment: it is told what to do when it
// comes back.
func (c *coverage) leftovers(index *desired.Index, fleet Fleet, expected bool) leftovers {
	left := leftovers{byNode: map[string]leftover{}}
	look := func(node string, keys []object.Key) (settled bool) {
		on, connected := leftoverOn(node, keys, index, fleet)
		left.offline = left.offline || !connected
		if connected && on.progress != delivery.InSync {
			left.byNode[node] = on
			return false
		}
		return connected || !expected
	}
	goneKeys := slices.Collect(maps.Keys(c.goneKeys))
	if len(goneKeys) > 0 {
		settled := true
		for _, node := range c.nodes {
			settled = look(node, goneKeys) && settled
		}
		if settled {
			clear(c.goneKeys)
		}
	}
	allKeys := slices.Concat(c.keys, goneKeys)
	for node := range c.goneNodes {
		if look(node, allKeys) {
			delete(c.goneNodes, node)
		}
	}
	left.onGoneNodes = len(c.goneNodes) > 0
	return left
}

// leftoverOn finds what of the keys nothing wants on a node and is still there.
func leftoverOn(node string, keys []object.Key, index *desired.Index, fleet Fleet) (leftover, bool) {
	worst, _, connected := fleet.Progress(node, keys)
	if !connected || worst == delivery.InSync {
		return leftover{}, connected
	}
	unwanted := make([]object.Key, 0, len(keys))
	for _, key := range keys {
		if index.Lookup(node, key).Object == nil {
			unwanted = append(unwanted, key)
		}
	}
	worst, failures, connected := fleet.Progress(node, unwanted)
	if worst == delivery.Failing {
		// What fails hides what waits for approval.
		for _, key := range unwanted {
			if progress, _, _ := fleet.Progress(node, []object.Key{key}); progress == delivery.HeldBack {
				worst = delivery.HeldBack
			}
		}
	}
	return leftover{progress: worst, failures: failures}, connected
}
