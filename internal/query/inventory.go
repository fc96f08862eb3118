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

package query

import (
	"encoding/hex"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/hub"
	"github.com/edgesync/edgesync/internal/object"
)

// maxObjects bounds an answer, which has some 600 bytes for each.
const maxObjects = 10_000

// Sessions are those of a hub: see hub.Hub.
type Sessions interface {
	Inventory(node string, visit func(delivery.Object)) (hub.Inventory, bool)
}

// Sources are those of an index: see desired.Index.
type Sources interface {
	SourcesOf(node string, key object.Key) []desired.SourceID
}

// inventory is what is known of a node with a session here, and nil without one.
func (s *Server) inventory(node string, selected selection) *queryv1alpha1.NodeInventory {
	var objects []queryv1alpha1.InventoryObject
	total := int32(0)
	session, ok := s.options.Sessions.Inventory(node, func(o delivery.Object) {
		total++
		if selected.key(o.Key) && selected.state(states[o.Stage]) {
			objects = append(objects, describe(o))
		}
	})
	if !ok {
		return nil
	}
	slices.SortFunc(objects, func(a, b queryv1alpha1.InventoryObject) int { return keyOf(a).Compare(keyOf(b)) })
	inventory := &queryv1alpha1.NodeInventory{
		TypeMeta:      metav1.TypeMeta{APIVersion: queryv1alpha1.GroupVersion.String(), Kind: "NodeInventory"},
		ObjectMeta:    metav1.ObjectMeta{Name: node},
		Session:       session.SessionID,
		Replica:       s.options.Replica,
		ConnectedTime: metav1.NewTime(session.ConnectedTime),
		Total:         total,
		Objects:       objects[:min(len(objects), maxObjects):min(len(objects), maxObjects)],
		Truncated:     len(objects) > maxObjects,
	}
	if inventory.Objects == nil {
		inventory.Objects = []queryv1alpha1.InventoryObject{}
	}
	for i := range inventory.Objects {
		inventory.Objects[i].Sources = s.sources(node, keyOf(inventory.Objects[i]))
	}
	return inventory
}

// sources are named as namespace/name of an ObjectSync or name of a ClusterObjectSync.
func (s *Server) sources(node string, key object.Key) []string {
	var names []string
	for _, id := range s.options.Sources.SourcesOf(node, key) {
		name := id.Name
		if id.Namespace != "" {
			name = id.Namespace + "/" + id.Name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func describe(o delivery.Object) queryv1alpha1.InventoryObject {
	described := queryv1alpha1.InventoryObject{
		Group: o.Key.Group, Kind: o.Key.Kind, Namespace: o.Key.Namespace, Name: o.Key.Name, State: states[o.Stage],
		SentTime: moment(o.Sent), PersistedTime: moment(o.Persisted), AppliedTime: moment(o.Applied),
	}
	if o.Want.Object != nil {
		described.Desired = version(o.Want.Holding())
	}
	if o.Held != nil {
		described.Held = version(o.Held.Holding)
	}
	if o.Failure != nil {
		described.Failure = &queryv1alpha1.InventoryFailure{
			Reason: reasons[o.Failure.Reason], Message: o.Failure.Message, Since: metav1.NewTime(o.Failure.Since),
		}
	}
	return described
}

// moment is nil for what has not happened.
func moment(at time.Time) *metav1.MicroTime {
	if at.IsZero() {
		return nil
	}
	return &metav1.MicroTime{Time: at}
}

func version(holding object.Holding) *queryv1alpha1.ObjectVersion {
	return &queryv1alpha1.ObjectVersion{
		UID: holding.UID, ResourceVersion: holding.Version, Digest: hex.EncodeToString(holding.Digest[:]),
	}
}

func keyOf(o queryv1alpha1.InventoryObject) object.Key {
	return object.Key{Group: o.Group, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

var states = map[delivery.Stage]queryv1alpha1.State{
	delivery.StageFrozen:      queryv1alpha1.StateFrozen,
	delivery.StageWaiting:     queryv1alpha1.StateWaiting,
	delivery.StageQueued:      queryv1alpha1.StateQueued,
	delivery.StageSent:        queryv1alpha1.StateSent,
	delivery.StagePersisted:   queryv1alpha1.StatePersisted,
	delivery.StageProgressing: queryv1alpha1.StateProgressing,
	delivery.StageSynced:      queryv1alpha1.StateSynced,
	delivery.StageRemoving:    queryv1alpha1.StateRemoving,
	delivery.StageHeldBack:    queryv1alpha1.StateHeldBack,
	delivery.StageFailed:      queryv1alpha1.StateFailed,
}

var reasons = map[delivery.Reason]string{
	delivery.FailedRejected: syncv1alpha1.FailureRejected,
	delivery.FailedTooLarge: syncv1alpha1.FailureTooLarge,
	delivery.FailedToStore:  syncv1alpha1.FailureStoreFailed,
	delivery.FailedToApply:  syncv1alpha1.FailureApplyFailed,
	delivery.FailedToRemove: syncv1alpha1.FailureRemoveFailed,
}
