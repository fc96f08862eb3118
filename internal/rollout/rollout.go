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

// Package rollout decides how a change goes from node to node. The nodes of a source are in a
// total order, and a rollout is one cursor in it: the place up to which their turn has come.
// So it takes two short strings to keep, whatever the number of nodes, and every replica of the
// manager that knows them comes to the same answer.
//
// It is pure: it neither reads a clock nor talks to anybody.
package rollout

import (
	"fmt"
	"slices"
	"strings"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// Cursor is how far a rollout has come. The zero Cursor is that of no rollout.
type Cursor struct {
	// Revision identifies what is rolled out.
	Revision string
	// Through is the last place whose turn has come: empty for none, End for all.
	Through string
}

// End is after all places.
const End = "~"

// Releases reports whether the turn of a place has come to get what the revision stands for.
func (c Cursor) Releases(revision, place string) bool {
	return c.Revision == revision && place <= c.Through
}

// Order puts nodes into parts by the value of a label. The zero Order has one part.
type Order struct {
	// Label is the key of a label of nodes.
	Label string
	// Values are those of the parts, in their order, at most 99 of them; all other nodes are
	// the last part. Of a value that is repeated the first counts.
	Values []string
}

// OrderOf is the order that a spec asks for; nil, for no rollout, if spec is nil.
func OrderOf(spec *syncv1alpha1.Rollout) *Order {
	switch {
	case spec == nil:
		return nil
	case spec.Partition == nil:
		return &Order{}
	default:
		return &Order{Label: spec.Partition.Label, Values: spec.Partition.Values}
	}
}

// Place is where a node stands: its part, and within that its name. Places are compared as
// strings, and all of them are before End.
func (o *Order) Place(name string, labels map[string]string) string {
	part := len(o.Values)
	if value, ok := labels[o.Label]; ok {
		if i := slices.Index(o.Values, value); i >= 0 {
			part = i
		}
	}
	return fmt.Sprintf("%02d/%s", part, name)
}

// partOf is the part of a place.
func partOf(place string) string {
	part, _, _ := strings.Cut(place, "/")
	return part
}
