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
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
)

// view is how far a manager has come in everything that it watches.
type view struct {
	edits   int
	feeds   [4]feedView
	cursors map[desired.SourceID]rollout.Cursor
}

type feedView struct {
	listed   bool
	position int
}

// wish is what a node should do about one key, found out the simple way: by asking
// every source, with no index.
type wish struct {
	object   *object.Object
	retain   bool
	frozen   bool
	approved bool
	// revision up to which the kind is known; 0 if nobody watches it.
	revision int
}

func (w *world) wish(v view, node string, key object.Key) wish {
	c := w.clusters[v.edits]
	n, exists := c.nodes[node]
	if !exists {
		return wish{frozen: true}
	}
	result := wish{frozen: n.settings.Suspend}
	unwantedFrozen, waiting := false, false
	for i, k := range kinds {
		if k.GroupKind() != key.GroupKind() {
			continue
		}
		feed := v.feeds[i]
		var at *record
		if feed.listed {
			at = w.api.at(key, feed.position)
			if revision := w.api.revisionAt(feed.position); result.revision == 0 || revision < result.revision {
				result.revision = revision
			}
		}
		for id := range c.sources {
			s := c.sources[id]
			if s.Kind != k.GroupVersionKind || !covers(&s, key) {
				continue
			}
			result.approved = result.approved || s.ApproveDeletes
			if s.Deleting || !selectsNode(&s, node, n) {
				continue
			}
			waits := w.waits(v, &s, node, n)
			unwantedFrozen = unwantedFrozen || s.Suspend || !feed.listed || waits
			if s.Suspend || at == nil || s.ObjectName == "" && !s.ObjectSelector.Matches(at.labels()) {
				continue
			}
			result.retain = result.retain || s.Retain
			if result.object == nil || waiting && !waits {
				result.object, waiting = at.object(k), waits
			}
		}
	}
	result.frozen = result.frozen || waiting
	if result.object == nil {
		result.frozen = result.frozen || unwantedFrozen
	}
	return result
}

// covers: the source is about the key, whatever labels its object has.
func covers(s *desired.Source, key object.Key) bool {
	return s.ID.Namespace == key.Namespace && (s.ObjectName == "" || s.ObjectName == key.Name)
}

func selectsNode(s *desired.Source, name string, n edgeNode) bool {
	if s.NodeName != "" {
		return s.NodeName == name
	}
	return s.NodeSelector.Matches(n.labels)
}

func (wi wish) holding() object.Holding {
	return object.Holding{UID: wi.object.UID, Version: wi.object.Version, Digest: wi.object.Digest, Retain: wi.retain}
}

// latest is the view of a manager that knows all there is.
func (w *world) latest() view {
	v := view{edits: len(w.edits), cursors: w.cluster().cursors}
	for i := range v.feeds {
		v.feeds[i] = feedView{listed: true, position: w.api.now()}
	}
	return v
}
