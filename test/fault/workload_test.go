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

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

const (
	namespace = "fault"
	// steady begins the names of what every node is to hold throughout. It is more than
	// half of what a node ever holds, so that no change is a mass deletion.
	steady                          = "steady-"
	steadyConfigMaps, steadySecrets = 24, 8
	// setLabel says to which set an object belongs. Sets have setSize places.
	setLabel = "set"
	setSize  = 5
	// warmUpChanges are made before what the programs take is measured.
	warmUpChanges = 250
	// workPause is at most between two changes.
	workPause = 80 * time.Millisecond
)

var (
	zones = []string{"east", "west", "north"}
	// sets come and go as a whole and object by object; their nodes change.
	sets = []string{"a", "b", "c"}
	// rolled is the set that goes out in rollouts.
	rolled = "rolled"
	sizes  = []int{10, 200, 1000, 5000, 20_000, 60_000}
)

// createSteady makes the namespace and what every node is to hold throughout.
func (w *world) createSteady() {
	ctx := w.t.Context()
	create := func(object client.Object) { w.Expect(w.client.Create(ctx, object)).To(Succeed()) }
	create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	for i := range steadyConfigMaps {
		create(configMap(steady+strconv.Itoa(i), "steady", 0, 1000))
	}
	for i := range steadySecrets {
		create(secret(steady+strconv.Itoa(i), "steady", 0, 500))
	}
	create(newSync("steady-configmaps", "ConfigMap", "steady", nil))
	create(newSync("steady-secrets", "Secret", "steady", nil))
	rollout := newSync("rolled", "ConfigMap", rolled, nil)
	rollout.Spec.Rollout = &syncv1alpha1.Rollout{
		MaxInProgress: &intstr.IntOrString{Type: intstr.Int, IntVal: 2},
		Partition:     &syncv1alpha1.RolloutPartition{Label: "ring", Values: []string{"canary"}},
	}
	create(rollout)
}

func configMap(name, set string, count, size int) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{setLabel: set}},
		Data:       map[string]string{"count": strconv.Itoa(count), "filler": strings.Repeat(strconv.Itoa(count%10), size)},
	}
}

func secret(name, set string, count, size int) *corev1.Secret {
	c := configMap(name, set, count, size)
	return &corev1.Secret{ObjectMeta: c.ObjectMeta, StringData: c.Data}
}

// newSync brings a set to all nodes, or to those of a zone.
func newSync(name, kind, set string, nodes map[string]string) *syncv1alpha1.ObjectSync {
	return &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{
				APIVersion: "v1", Kind: kind, LabelSelector: metav1.LabelSelector{MatchLabels: map[string]string{setLabel: set}},
			},
			NodeSelector: &metav1.LabelSelector{MatchLabels: nodes},
		},
	}
}

// warmUp makes changes with no faults, so that caches and heaps have the size that changes
// alone give them.
func (w *world) warmUp(r *rand.Rand) {
	stop := w.inBackground(func(ctx context.Context) { w.work(ctx, r) })
	w.Eventually(w.changes.Load).Should(BeNumerically(">=", warmUpChanges))
	stop()
	w.settle()
}

// worker makes changes all the time, in one goroutine.
type worker struct {
	*world
	ctx context.Context
	r   *rand.Rand
}

// work changes objects, syncs and nodes until ctx is done. What the API server refuses or
// does not answer, because it is away or something was changed meanwhile, is left at that.
func (w *world) work(ctx context.Context, r *rand.Rand) {
	k := &worker{world: w, ctx: ctx, r: r}
	changes := []struct {
		weight int
		do     func() error
	}{
		{10, k.changeSteady}, {10, k.putVolatile}, {5, k.deleteVolatile}, {4, k.recreateVolatile}, {3, k.changeRolled},
		{2, k.putSync}, {1, k.deleteSync}, {2, k.suspendSync}, {2, k.moveNode}, {1, k.suspendNode},
	}
	total := 0
	for _, c := range changes {
		total += c.weight
	}
	for ctx.Err() == nil {
		at := r.IntN(total)
		for _, c := range changes {
			if at -= c.weight; at < 0 {
				k.note(c.do())
				break
			}
		}
		hold(ctx, time.Duration(r.Int64N(int64(workPause))))
	}
}

// note counts a change, or reports an error of the test: the API server's refusals are none.
func (k *worker) note(err error) {
	if err == nil {
		k.changes.Add(1)
	} else if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		k.alarm("the test itself: %v", err)
	}
}

func (k *worker) next() (count, size int) {
	k.contents++
	return k.contents, one(k.r, sizes)
}

func (k *worker) changeSteady() error {
	count, size := k.next()
	if i := k.r.IntN(steadyConfigMaps + steadySecrets); i >= steadyConfigMaps {
		return k.client.Update(k.ctx, secret(steady+strconv.Itoa(i-steadyConfigMaps), "steady", count, min(size, 5000)))
	}
	return k.client.Update(k.ctx, configMap(steady+strconv.Itoa(k.r.IntN(steadyConfigMaps)), "steady", count, size))
}

// volatile is one of the objects that come and go.
func (k *worker) volatile() client.Object {
	set, place := one(k.r, sets), k.r.IntN(setSize)
	count, size := k.next()
	return configMap(fmt.Sprintf("%s-%d", set, place), set, count, size)
}

func (k *worker) put(object client.Object) error {
	if err := k.client.Update(k.ctx, object); !apierrors.IsNotFound(err) {
		return err
	}
	return k.client.Create(k.ctx, object)
}

func (k *worker) putVolatile() error { return k.put(k.volatile()) }

func (k *worker) deleteVolatile() error {
	return client.IgnoreNotFound(k.client.Delete(k.ctx, k.volatile()))
}

// recreateVolatile has another object take the place of one at once.
func (k *worker) recreateVolatile() error {
	object := k.volatile()
	for range 1 + k.r.IntN(3) {
		if err := client.IgnoreNotFound(k.client.Delete(k.ctx, object.DeepCopyObject().(client.Object))); err != nil {
			return err
		}
		object.SetResourceVersion("")
		if err := k.client.Create(k.ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func (k *worker) changeRolled() error {
	count, size := k.next()
	return k.put(configMap(fmt.Sprintf("%s-%d", rolled, k.r.IntN(2)), rolled, count, size))
}

// putSync has a set go to other nodes.
func (k *worker) putSync() error {
	set, zone := one(k.r, sets), map[string]string{"zone": one(k.r, zones)}
	found := &syncv1alpha1.ObjectSync{}
	err := k.client.Get(k.ctx, client.ObjectKey{Namespace: namespace, Name: set}, found)
	if apierrors.IsNotFound(err) {
		return k.client.Create(k.ctx, newSync(set, "ConfigMap", set, zone))
	}
	if err != nil {
		return err
	}
	found.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: zone}
	return k.conflictIsNothing(k.client.Update(k.ctx, found))
}

func (k *worker) conflictIsNothing(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (k *worker) deleteSync() error {
	return client.IgnoreNotFound(k.client.Delete(k.ctx, newSync(one(k.r, sets), "ConfigMap", "", nil)))
}

func (k *worker) suspendSync() error {
	patch := fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, k.r.IntN(2) == 0)
	return client.IgnoreNotFound(k.client.Patch(k.ctx, newSync(one(k.r, sets), "ConfigMap", "", nil), client.RawPatch(mergePatch, patch)))
}

// moveNode takes a node to another zone.
func (k *worker) moveNode() error {
	return k.patchNode(fmt.Appendf(nil, `{"metadata":{"labels":{"zone":%q}}}`, one(k.r, zones)))
}

func (k *worker) suspendNode() error {
	return k.patchNode(fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, k.r.IntN(4) == 0))
}

func (k *worker) patchNode(patch []byte) error {
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: one(k.r, k.nodes).name}}
	return k.client.Patch(k.ctx, node, client.RawPatch(mergePatch, patch))
}
