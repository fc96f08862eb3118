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

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/object"
)

// question is why a node has an object, or does not have it, with all that the answer is
// made of.
type question struct {
	node *syncv1alpha1.EdgeNode
	key  object.Key
	// object is the metadata of the object in the cluster, or nil. objectErr is why it is not
	// known whether there is one.
	object    *metav1.PartialObjectMetadata
	objectErr error
	// syncs are all those that can name the object.
	syncs []sync
	// inventory is what the manager says of the object on the node. inventoryErr is why it
	// does not.
	inventory    *queryv1alpha1.NodeInventory
	inventoryErr error
	now          time.Time
}

// entry is the object on the node; nil if the node should not hold it and does not, or if
// that is not known.
func (q *question) entry() *queryv1alpha1.InventoryObject {
	if q.inventory == nil {
		return nil
	}
	at := slices.IndexFunc(q.inventory.Objects, func(o queryv1alpha1.InventoryObject) bool { return keyOf(&o) == q.key })
	if at < 0 {
		return nil
	}
	return &q.inventory.Objects[at]
}

// verdict is what one sync has to do with the object and the node.
type verdict struct {
	sync sync
	// object and node say whether the sync means the one and the other.
	object, node bool
	text         string
}

func (v verdict) wants() bool { return v.object && v.node }

// verdicts are about the syncs of the object's kind, but for those that name another object.
// Those that come closest to wanting it are first.
func (q *question) verdicts() []verdict {
	var verdicts []verdict
	for _, s := range q.syncs {
		ref := s.spec.ObjectRef
		if s.groupKind() != q.key.GroupKind() || ref != nil && ref.Name != q.key.Name {
			continue
		}
		verdicts = append(verdicts, q.verdict(s))
	}
	slices.SortStableFunc(verdicts, func(a, b verdict) int { return b.closeness() - a.closeness() })
	return verdicts
}

func (v verdict) closeness() int {
	switch {
	case v.wants():
		return 3
	case v.object:
		return 2
	case v.node:
		return 1
	}
	return 0
}

func (q *question) verdict(s sync) verdict {
	objectText := q.whyNotObject(s)
	nodeText := q.whyNotNode(s)
	v := verdict{sync: s, object: objectText == "", node: nodeText == ""}
	switch {
	case v.wants():
		v.text = "wants it on " + q.node.Name + suspendedText(s)
	case v.object:
		v.text = "wants it, but not on " + q.node.Name + ": " + nodeText
	case v.node:
		v.text = "selects " + q.node.Name + ", but not the object: " + objectText
	default:
		v.text = "selects neither the object nor the node: " + objectText + "; " + nodeText
	}
	return v
}

func suspendedText(s sync) string {
	if s.spec.Suspend {
		return ", and is suspended"
	}
	return ""
}

// whyNotObject is why the sync does not mean the object; empty if it does.
func (q *question) whyNotObject(s sync) string {
	if s.spec.ObjectRef != nil {
		return "" // another name has no verdict
	}
	switch {
	case q.objectErr != nil:
		return fmt.Sprintf("its labels are not known: %v", q.objectErr)
	case q.object == nil:
		return "there is no such object in the cluster"
	}
	return mismatch("objectSelector", &s.spec.ObjectSelector.LabelSelector, q.object.Labels, "the object")
}

// whyNotNode is why the sync does not mean the node; empty if it does.
func (q *question) whyNotNode(s sync) string {
	switch {
	case q.node.Spec.Revoked:
		return "the node is revoked"
	case s.spec.NodeName == q.node.Name:
		return ""
	case s.spec.NodeName != "":
		return "it is for the node " + s.spec.NodeName
	}
	return mismatch("nodeSelector", s.spec.NodeSelector, q.node.Labels, "the node")
}

// mismatch names what a selector asks for and the labels do not have; empty if they match.
func mismatch(field string, selector *metav1.LabelSelector, have map[string]string, whose string) string {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return fmt.Sprintf("its %s cannot be parsed: %v", field, err)
	}
	if parsed.Matches(labels.Set(have)) {
		return ""
	}
	requirements, _ := parsed.Requirements()
	var texts []string
	for _, r := range requirements {
		if r.Matches(labels.Set(have)) {
			continue
		}
		actual := "no label " + r.Key()
		if value, ok := have[r.Key()]; ok {
			actual = r.Key() + "=" + value
		}
		texts = append(texts, fmt.Sprintf("its %s asks for %s, and %s has %s", field, r.String(), whose, actual))
	}
	if len(texts) == 0 {
		return "it has no " + field // a nil selector matches nothing
	}
	return strings.Join(texts, "; ")
}

// sources are the syncs that want the object on the node, or keep it there: those that the
// manager names, or, if it is not asked, those whose selectors match.
func (q *question) sources() []sync {
	entry := q.entry()
	var found []sync
	for _, s := range q.syncs {
		if entry != nil && slices.Contains(entry.Sources, s.id()) {
			found = append(found, s)
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, v := range q.verdicts() {
		if v.wants() {
			found = append(found, v.sync)
		}
	}
	return found
}

// nodeState says whether the node is connected, and since when.
func (q *question) nodeState() string {
	switch {
	case q.node.Spec.Revoked:
		return "revoked"
	case q.inventory != nil:
		return fmt.Sprintf("connected for %s, to %s", age(q.now, q.inventory.ConnectedTime.Time), orNone(q.inventory.Replica))
	case q.node.Status.Session != nil:
		return "connected for " + since(q.node, q.now)
	}
	return away(q.node, q.now)
}

// inCluster says of the object in the cluster what follows its name.
func (q *question) inCluster() string {
	switch {
	case q.objectErr != nil:
		return fmt.Sprintf(" (not known whether it exists: %v)", q.objectErr)
	case q.object == nil:
		return " (does not exist in the cluster)"
	case q.object.DeletionTimestamp != nil:
		return fmt.Sprintf(" (being deleted; version %s)", q.object.ResourceVersion)
	}
	return fmt.Sprintf(" (version %s)", q.object.ResourceVersion)
}
