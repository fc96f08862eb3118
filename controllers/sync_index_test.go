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
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/rollout"
	"github.com/edgesync/edgesync/internal/watch"
)

// newBareReconciler is one of ObjectSyncs, of a replica that leads, without anything that runs.
func newBareReconciler(g Gomega) *syncReconciler {
	trigger := NewStatusTrigger()
	index := desired.NewIndex(trigger.OnSource)
	watches, err := watch.New(watch.Options{Config: &rest.Config{}, HTTPClient: http.DefaultClient, Index: index, OnChange: trigger.OnSource})
	g.Expect(err).NotTo(HaveOccurred())
	elected := make(chan struct{})
	close(elected)
	return &syncReconciler{
		Options: Options{
			Index: index, Watches: watches, Trigger: trigger, Fleet: &fakeFleet{trigger: trigger, nodes: map[string]*fakeNode{}},
			Replicas: newFakeReplicas().as("self"), Replica: "self", timing: testTiming, unrest: &unrest{}, elected: elected,
		},
		feed: desired.ObjectSyncs, memories: map[desired.SourceID]*syncMemory{},
		whereIs: func(string) whereabouts { return whereabouts{} },
	}
}

// A replica may be elected before its informers have seen the syncs.
func TestALeaderGoesOnFromTheRolloutThatIsWritten(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	r := newBareReconciler(g)
	index := r.Index
	cursor := func() rollout.Cursor {
		view, _ := index.View(desired.SourceID{Namespace: "shop", Name: "settings"})
		return view.Cursor
	}
	sync := refSync("shop", "settings", "settings", "edge")
	sync.ObjectMeta.UID, sync.ObjectMeta.ResourceVersion = "1", "10"
	sync.Spec.Rollout = &syncv1alpha1.Rollout{}
	sync.Status.Rollout = &syncv1alpha1.RolloutStatus{Revision: "r1", Through: "00/b"}
	r.saw(sync)
	g.Expect(cursor()).To(Equal(rollout.Cursor{Revision: "r1", Through: "00/b"}))

	index.SetRollout(desired.SourceID{Namespace: "shop", Name: "settings"}, rollout.Cursor{Revision: "r1", Through: "00/c"})
	later := sync.DeepCopy()
	later.Annotations, later.ObjectMeta.ResourceVersion = map[string]string{"a": "b"}, "11"
	r.saw(later)
	g.Expect(cursor().Through).To(Equal("00/c"), "what is written is behind what the leader knows")
}
