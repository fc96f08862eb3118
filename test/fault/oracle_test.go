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
	"errors"
	"fmt"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/mirror"
)

const mergePatch = types.MergePatchType

// settle ends what holds changes back on purpose.
func (w *world) settle() {
	ctx := w.t.Context()
	goOn := client.RawPatch(mergePatch, []byte(`{"spec":{"suspend":false}}`))
	truth, err := w.truth(ctx)
	w.Expect(err).NotTo(HaveOccurred())
	for i := range truth.syncs {
		w.Expect(client.IgnoreNotFound(w.client.Patch(ctx, &truth.syncs[i], goOn))).To(Succeed())
	}
	for i := range truth.nodes {
		w.Expect(w.client.Patch(ctx, &truth.nodes[i], goOn)).To(Succeed())
	}
}

// becomesQuiet waits until every node holds just what it should, and status says so.
func (w *world) becomesQuiet(when string) {
	w.Eventually(w.differences).WithContext(w.t.Context()).Should(BeEmpty(), when)
	w.history.note("every node holds what it should %s", when)
	w.Eventually(w.wrongStatus).WithContext(w.t.Context()).Should(BeEmpty(), when)
	w.history.note("status is right %s", when)
}

// truth is what the API server has.
type truth struct {
	syncs   []syncv1alpha1.ObjectSync
	nodes   []syncv1alpha1.EdgeNode
	objects map[string][]unstructured.Unstructured // by kind
}

// resources are the kinds that the workload uses.
var resources = map[string]string{"ConfigMap": "configmaps", "Secret": "secrets"}

func (w *world) truth(ctx context.Context) (*truth, error) {
	var syncs syncv1alpha1.ObjectSyncList
	var nodes syncv1alpha1.EdgeNodeList
	err := errors.Join(w.client.List(ctx, &syncs, client.InNamespace(namespace)), w.client.List(ctx, &nodes))
	found := &truth{syncs: syncs.Items, nodes: nodes.Items, objects: map[string][]unstructured.Unstructured{}}
	for kind := range resources {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		err = errors.Join(err, w.client.List(ctx, list, client.InNamespace(namespace)))
		found.objects[kind] = list.Items
	}
	return found, err
}

// selects says whether the objects of a sync belong on a node.
func selects(sync *syncv1alpha1.ObjectSync, node *syncv1alpha1.EdgeNode) (bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(sync.Spec.NodeSelector)
	return err == nil && selector.Matches(labels.Set(node.Labels)), err
}

// covered are the objects of a sync.
func (t *truth) covered(sync *syncv1alpha1.ObjectSync) ([]unstructured.Unstructured, error) {
	selector, err := metav1.LabelSelectorAsSelector(&sync.Spec.ObjectSelector.LabelSelector)
	if err != nil {
		return nil, err
	}
	var found []unstructured.Unstructured
	for _, object := range t.objects[sync.Spec.ObjectSelector.Kind] {
		if selector.Matches(labels.Set(object.GetLabels())) {
			found = append(found, object)
		}
	}
	return found, nil
}

// content is what a node should hold.
func (t *truth) content(node *syncv1alpha1.EdgeNode) (mirror.Content, error) {
	content := mirror.Content{}
	for i := range t.syncs {
		sync := &t.syncs[i]
		selected, err := selects(sync, node)
		if err != nil {
			return nil, err
		}
		if !selected || sync.DeletionTimestamp != nil {
			continue
		}
		objects, err := t.covered(sync)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			path := mirror.Path(namespace, resources[object.GetKind()], "", object.GetName())
			content[path] = mirror.Travelling(object.DeepCopy().Object)
		}
	}
	return content, nil
}

// differences compares every node's files with what the API server has.
func (w *world) differences(ctx context.Context) ([]string, error) {
	truth, err := w.truth(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	if len(truth.nodes) != len(w.nodes) {
		found = append(found, fmt.Sprintf("%d EdgeNodes, not %d", len(truth.nodes), len(w.nodes)))
	}
	for i := range truth.nodes {
		node := &truth.nodes[i]
		want, err := truth.content(node)
		if err != nil {
			return nil, err
		}
		for _, n := range w.nodes {
			if n.name != node.Name {
				continue
			}
			got, err := mirror.Files(n.agent.ObjectsDir())
			if err != nil {
				return nil, err
			}
			for _, difference := range mirror.Differences(got, want) {
				found = append(found, n.name+": "+difference)
			}
		}
	}
	return found, nil
}

// wrongStatus compares what the statuses say with what they should, with all nodes connected.
func (w *world) wrongStatus(ctx context.Context) ([]string, error) {
	truth, err := w.truth(ctx)
	if err != nil {
		return nil, err
	}
	var wrong []string
	expect := func(of client.Object, what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %v, not %v", of.GetName(), what, got, want))
		}
	}
	for i := range truth.syncs {
		if err := truth.checkSync(&truth.syncs[i], expect); err != nil {
			return nil, err
		}
	}
	for i := range truth.nodes {
		if err := truth.checkNode(&truth.nodes[i], expect); err != nil {
			return nil, err
		}
	}
	return wrong, nil
}

type expectation func(of client.Object, what string, got, want any)

func (t *truth) checkSync(sync *syncv1alpha1.ObjectSync, expect expectation) error {
	objects, err := t.covered(sync)
	if err != nil {
		return err
	}
	desired := 0
	for i := range t.nodes {
		selected, err := selects(sync, &t.nodes[i])
		if err != nil {
			return err
		}
		if selected {
			desired++
		}
	}
	s := &sync.Status
	expect(sync, "deleted", sync.DeletionTimestamp != nil, false)
	expect(sync, "observedGeneration", s.ObservedGeneration, sync.Generation)
	expect(sync, "objects", int(s.Objects), len(objects))
	expect(sync, "desired", int(s.Desired), desired)
	expect(sync, "synced", int(s.Synced), desired)
	expect(sync, "pending", int(s.Pending), 0)
	expect(sync, "failed", int(s.Failed), 0)
	expect(sync, "offline", int(s.Offline), 0)
	expect(sync, "failures", len(s.Failures), 0)
	expect(sync, "Stalled", apimeta.IsStatusConditionTrue(s.Conditions, "Stalled"), false)
	expect(sync, "Synced", apimeta.IsStatusConditionTrue(s.Conditions, "Synced"), len(objects) > 0 && desired > 0)
	if sync.Spec.Rollout != nil && s.Rollout != nil {
		expect(sync, "rollout.waiting", int(s.Rollout.Waiting), 0)
		expect(sync, "rollout.paused", s.Rollout.Paused, false)
	}
	return nil
}

func (t *truth) checkNode(node *syncv1alpha1.EdgeNode, expect expectation) error {
	content, err := t.content(node)
	if err != nil {
		return err
	}
	s := &node.Status
	expect(node, "observedGeneration", s.ObservedGeneration, node.Generation)
	expect(node, "Connected", apimeta.IsStatusConditionTrue(s.Conditions, "Connected"), true)
	expect(node, "Synced", apimeta.IsStatusConditionTrue(s.Conditions, "Synced"), true)
	expect(node, "session", s.Session != nil, true)
	expect(node, "desired", int(s.Objects.Desired), len(content))
	expect(node, "held", int(s.Objects.Held), len(content))
	expect(node, "pending", int(s.Objects.Pending), 0)
	expect(node, "failed", int(s.Objects.Failed), 0)
	expect(node, "heldBack", int(s.Objects.HeldBack), 0)
	return nil
}
