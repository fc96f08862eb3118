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
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
)

// A rollout that waits for one node, for hours perhaps, is not summed up ten times a second.
func TestARolloutThatDoesNotMoveIsWatchedLess(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var w rolloutWatch
	start := time.Unix(1e9, 0)
	pause := func(after time.Duration, p rollout.Progress) time.Duration {
		return w.pause(start.Add(after), &p, time.Second)
	}
	moving := rollout.Progress{Released: 1, Waiting: 5, InProgress: 1}
	g.Expect(pause(0, moving)).To(Equal(rolloutInterval))
	g.Expect(pause(300*time.Millisecond, moving)).To(Equal(300 * time.Millisecond))
	g.Expect(pause(time.Hour, moving)).To(Equal(time.Second))
	moving.Released, moving.Waiting = 2, 4
	g.Expect(pause(time.Hour, moving)).To(Equal(rolloutInterval), "it has moved")
	g.Expect(pause(time.Hour, rollout.Progress{Waiting: 5, Failed: 1, Paused: true})).To(BeZero(), "somebody must act")
	g.Expect(pause(time.Hour, rollout.Progress{Released: 6, InProgress: 1})).To(BeZero(), "all have had their turn")
	g.Expect(w.pause(start, nil, time.Second)).To(BeZero(), "there is none")
}

// The leader before has seen the object that is gone; this one has not, and its nodes still hold it.
func TestANewLeaderGoesOnWithTheRolloutOfADeletion(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	r := newBareReconciler(g)
	fleet := r.Fleet.(*fakeFleet)
	gone, other := configMapKey("shop", "gone"), object.Key{Kind: "Secret", Namespace: "shop", Name: "gone"}
	for _, name := range []string{"a", "b", "c"} {
		r.Index.SetNode(name, nil, desired.NodeSettings{})
		fleet.connect(name, "s")
		fleet.is(name, delivery.Waiting, gone, other)
	}
	r.Index.Watch(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}).Replace(nil, "5")
	one := intstr.FromInt32(1)
	sync := &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all", UID: "1", ResourceVersion: "10"},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{APIVersion: "v1", Kind: "ConfigMap"},
			NodeSelector:   &metav1.LabelSelector{},
			Rollout:        &syncv1alpha1.Rollout{MaxInProgress: &one},
		},
	}
	r.saw(sync)
	memory := r.memory(desired.SourceID{Namespace: "shop", Name: "all"})
	through := func() string {
		_, o := r.observe(memory)
		return o.through
	}
	g.Expect(through()).To(Equal("00/a"))
	fleet.is("a", delivery.InProgress, gone)
	g.Expect(through()).To(Equal("00/a"), "it has to remove the object first")
	g.Expect(memory.covered.goneKeys).To(And(HaveLen(1), HaveKey(gone)))
	fleet.is("a", delivery.InSync, gone)
	g.Expect(through()).To(Equal("00/b"))
}
