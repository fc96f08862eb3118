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

package agent

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/apply"
	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// storeWith has one object in each of the states.
func storeWith(t *testing.T, states ...store.State) *store.Store {
	t.Helper()
	g := NewWithT(t)
	s, err := store.Open(filepath.Join(t.TempDir(), storeFile), store.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { s.Close() })
	for i, state := range states {
		o := object.Object{
			Key:        object.Key{Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprintf("x%02d", i)},
			APIVersion: "v1", Resource: "configmaps", UID: "uid", Version: "1", Payload: []byte("{}"),
		}
		ops := []store.Op{{Put: &store.Put{Record: store.Record{Object: o}}}}
		if state.Tombstone() {
			ops = append(ops, store.Op{Delete: &store.Delete{Key: o.Key, UID: o.UID}})
		}
		_, err := s.Commit(ops)
		g.Expect(err).NotTo(HaveOccurred())
		entry, _, err := s.Peek(o.Key)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(s.SetStates([]store.StateChange{{
			Key: o.Key, Revision: entry.Revision, State: state, Message: state.String() + "!",
		}})).To(Succeed())
	}
	return s
}

func TestAddObjects(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := storeWith(t, store.Applied, store.Pending, store.Failed, store.Removing, store.RemoveFailed)
	var status Status
	g.Expect(status.addObjects(s)).To(Succeed())
	g.Expect(status.Objects).To(Equal(Counts{Held: 3, Applied: 1, Pending: 1, Failed: 1, Removing: 2}))
	g.Expect(status.Problems).To(HaveExactElements(
		HaveField("State", "Pending"),
		And(HaveField("State", "Failed"), HaveField("Message", "Failed!"), HaveField("Object", "ConfigMap/shop/x02")),
		HaveField("State", "Removing"),
		HaveField("State", "RemoveFailed"),
	))
}

func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var states []store.State
	for range maxProblems + 3 {
		states = append(states, store.Failed)
	}
	var status Status
	g.Expect(status.addObjects(storeWith(t, states...))).To(Succeed())
	g.Expect(status.Problems).To(HaveLen(maxProblems))
	g.Expect(status.FurtherProblems).To(Equal(3))
}

func TestNotes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := storeWith(t)
	var status Status
	g.Expect(status.addNotes(s)).To(Succeed())
	g.Expect(status.Link.CompletedAt).To(BeZero())
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	g.Expect(s.SetNote(noteComplete, at.Format(time.RFC3339))).To(Succeed())
	g.Expect(status.addNotes(s)).To(Succeed())
	g.Expect(status.Link.CompletedAt).To(Equal(at))
}

func TestStatesAreThoseOfTheWire(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for state, want := range map[store.State]pb.ApplyState{
		store.Pending:      pb.ApplyState_APPLY_STATE_PENDING,
		store.Applied:      pb.ApplyState_APPLY_STATE_APPLIED,
		store.Failed:       pb.ApplyState_APPLY_STATE_FAILED,
		store.Removing:     pb.ApplyState_APPLY_STATE_REMOVING,
		store.RemoveFailed: pb.ApplyState_APPLY_STATE_REMOVE_FAILED,
		store.Removed:      pb.ApplyState_APPLY_STATE_REMOVED,
	} {
		results := resultsToPB([]apply.Result{{State: state, UID: "u", Digest: object.Digest{1}}})
		g.Expect(results).To(HaveExactElements(And(
			HaveField("State", want), HaveField("Uid", "u"), HaveField("Digest", HaveLen(object.DigestSize)))))
	}
}
