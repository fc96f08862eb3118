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

// Package desired knows what each node should hold. It joins three things that
// change on their own: the objects of the kinds in use, the sources that say which
// objects belong on which nodes, and the nodes with their labels. It keeps the join
// up to date as they change, and tells the sessions of the nodes concerned.
//
// It is pure: it neither reads a clock nor talks to anybody. An Index may be used
// concurrently.
package desired

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
)

// SourceID names an ObjectSync, or, with an empty namespace, a ClusterObjectSync.
type SourceID struct {
	Namespace string
	Name      string
}

// Source says which objects belong on which nodes.
type Source struct {
	ID SourceID
	// Kind and, in the namespace of the source, ObjectName name one object; with an
	// empty ObjectName, ObjectSelector selects among all objects of the kind there.
	Kind           schema.GroupVersionKind
	ObjectName     string
	ObjectSelector labels.Selector
	// NodeName names one node; when it is empty, NodeSelector selects.
	NodeName     string
	NodeSelector labels.Selector
	// Retain leaves objects on the node once nothing wants them there.
	Retain bool
	// Rollout is the order in which the nodes get what the source covers, as far as
	// Index.SetRollout lets them; nil for all at once.
	Rollout *rollout.Order
	// Suspend freezes on the nodes what the source covers.
	Suspend bool
	// ApproveDeletes releases deletions, of what the source covers, that are held back.
	ApproveDeletes bool
	// Deleting is set on a source that wants nothing any longer, and can only approve.
	Deleting bool
}

// mayCover reports whether the source covers the key, or could have covered it
// before the object went away: then its labels are not known any longer.
func (s *Source) mayCover(key object.Key) bool {
	return s.Kind.GroupKind() == key.GroupKind() &&
		s.ID.Namespace == key.Namespace &&
		(s.ObjectName == "" || s.ObjectName == key.Name)
}

// freezes reports whether nodes are to be left as they are in what the source may
// cover. listed says that the kind has been listed.
func (s *Source) freezes(listed bool) bool {
	return !s.Deleting && (s.Suspend || !listed)
}

func (s *Source) selects(name string, set labels.Set) bool {
	if s.Deleting {
		return false
	}
	if s.ObjectName != "" {
		return s.ObjectName == name
	}
	return s.ObjectSelector.Matches(set)
}

func (s *Source) selectsNode(name string, set labels.Set) bool {
	if s.NodeName != "" {
		return s.NodeName == name
	}
	return s.NodeSelector.Matches(set)
}

// Want is what a node should do about one key.
type Want struct {
	// Object is what the node should hold; nil when it should hold nothing.
	Object *object.Object
	// Retain is the fate of Object once it is no longer wanted.
	Retain bool
	// Frozen says to leave the node as it is, whatever Object says: a source that
	// may cover the key is suspended or its kind has not been listed, the node waits for
	// its turn, or it is suspended.
	Frozen bool
	// Waiting says that the key is frozen since the turn of the node in a rollout has not
	// come. Object is what it gets then.
	Waiting bool
	// Approved says that deletions of the key need no further approval.
	Approved bool
	// Seen is the resource version up to which the manager knows the kind; empty
	// when nothing uses the kind, so that there is nothing to lag behind.
	Seen string
	// Rewound says that the API server is known not to have the version that the
	// node waits for: see Index.Await.
	Rewound bool
}

// Holding is what the node holds once it has stored Object.
func (w Want) Holding() object.Holding {
	return object.Holding{
		UID: w.Object.UID, Version: w.Object.Version, Digest: w.Object.Digest, Retain: w.Retain,
	}
}

// Sink is told which keys of a node may have another Want than before. Its methods
// are called with the index locked: they must not block, nor call the index.
type Sink interface {
	// Changed names keys to look up again. bulk says that one change of a source,
	// of a node or of a whole kind touched all of them, rather than each object
	// having changed, or having been deleted, on its own.
	Changed(keys []object.Key, bulk bool)
	// Recheck says that whatever is frozen or held back may not be so any longer,
	// and that the NodeSettings may be others.
	Recheck()
}

// NodeSettings is what the administrator wants of a node.
type NodeSettings struct {
	// Suspend freezes all that the node holds.
	Suspend bool
	// Approval is the code of held-back deletions that are approved.
	Approval string
	// BytesPerSecond bounds what is sent to the node; 0 is no bound.
	BytesPerSecond int64
}
