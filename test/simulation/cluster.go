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

package simulation

import (
	"maps"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/rollout"
)

// cluster is what administrators have set up: sources and nodes. It is immutable.
type cluster struct {
	sources map[desired.SourceID]desired.Source
	// cursors are how far the rollouts of sources have come.
	cursors map[desired.SourceID]rollout.Cursor
	nodes   map[string]edgeNode
}

type edgeNode struct {
	labels   labels.Set
	settings desired.NodeSettings
}

// edit is one change of a cluster: of the source, or of its rollout alone, if it has an id,
// else of the node.
type edit struct {
	id     desired.SourceID
	source *desired.Source
	cursor *rollout.Cursor
	name   string
	node   *edgeNode
}

func (c *cluster) with(e edit) *cluster {
	next := &cluster{sources: maps.Clone(c.sources), cursors: maps.Clone(c.cursors), nodes: maps.Clone(c.nodes)}
	switch {
	case e.name != "" && e.node != nil:
		next.nodes[e.name] = *e.node
	case e.name != "":
		delete(next.nodes, e.name)
	case e.cursor != nil:
		next.cursors[e.id] = *e.cursor
	case e.source != nil:
		next.sources[e.id] = *e.source
	default:
		delete(next.sources, e.id)
		delete(next.cursors, e.id)
	}
	return next
}

func (e edit) apply(index *desired.Index) {
	switch {
	case e.name != "" && e.node != nil:
		index.SetNode(e.name, e.node.labels, e.node.settings)
	case e.name != "":
		index.DeleteNode(e.name)
	case e.cursor != nil:
		index.SetRollout(e.id, *e.cursor)
	case e.source != nil:
		index.SetSource(*e.source)
	default:
		index.DeleteSource(e.id)
	}
}
