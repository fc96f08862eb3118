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

package enroll

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// changeNode makes a change of spec, metadata or status.
func changeNode(change func(*syncv1alpha1.EdgeNode)) func(context.Context, client.Client, string) error {
	return func(ctx context.Context, c client.Client, name string) error {
		node := &syncv1alpha1.EdgeNode{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
			return err
		}
		status := node.Status.DeepCopy()
		change(node)
		if err := c.Update(ctx, node); err != nil { // leaves status alone
			return err
		}
		node.Status = *status
		change(node)
		return c.Status().Update(ctx, node)
	}
}

// nodeThatIs makes the EdgeNode edge-1.
func (h *harness) nodeThatIs(change func(*syncv1alpha1.EdgeNode)) {
	h.t.Helper()
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
	change(node)
	if err := h.client.Create(h.t.Context(), node); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) mustChange(change func(*syncv1alpha1.EdgeNode)) {
	h.t.Helper()
	if err := changeNode(change)(h.t.Context(), h.client, "edge-1"); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) deleteNode(name string) {
	h.t.Helper()
	if err := h.client.Delete(h.t.Context(), &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) edgeNode(name string) *syncv1alpha1.EdgeNode {
	h.t.Helper()
	node := &syncv1alpha1.EdgeNode{}
	if err := h.client.Get(h.t.Context(), client.ObjectKey{Name: name}, node); err != nil {
		h.t.Fatal(err)
	}
	return node
}
