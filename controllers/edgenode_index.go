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
	"maps"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/admission"
	"github.com/edgesync/edgesync/internal/desired"
)

// saw takes over an EdgeNode as the informer has it. When it returns the index knows.
func (r *edgeNodeReconciler) saw(obj client.Object) {
	node := obj.(*syncv1alpha1.EdgeNode)
	r.mu.Lock()
	memory := r.memories[node.Name]
	if memory == nil || memory.node.UID != node.UID {
		memory = &nodeMemory{}
		r.memories[node.Name] = memory
	}
	r.setNode(node, memory)
	r.mu.Unlock()
	r.Index.Advance(desired.EdgeNodes, node.ResourceVersion)
}

// lost takes over that an EdgeNode is gone.
func (r *edgeNodeReconciler) lost(obj client.Object) {
	r.mu.Lock()
	delete(r.memories, obj.GetName())
	r.Index.DeleteNode(obj.GetName())
	r.mu.Unlock()
	r.Index.Advance(desired.EdgeNodes, obj.GetResourceVersion())
}

// recall finds the memory of a node, and the EdgeNode as it was seen last, which must not be
// changed. The index is brought to what has become of the session meanwhile.
func (r *edgeNodeReconciler) recall(name string) (*nodeMemory, *syncv1alpha1.EdgeNode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	memory := r.memories[name]
	if memory == nil {
		return nil, nil
	}
	r.setNode(memory.node, memory)
	return memory, memory.node
}

// setNode puts the node into the index, unless it is there as it is. Nothing belongs
// on a node that is revoked, and nothing of this node on another one of its name.
func (r *edgeNodeReconciler) setNode(node *syncv1alpha1.EdgeNode, memory *nodeMemory) {
	before := memory.node
	memory.node = node
	if node.Spec.Revoked || r.lingers(node) {
		r.Index.DeleteNode(node.Name)
		memory.known = false
		return
	}
	settings := r.settingsOf(node)
	if memory.known && memory.settings == settings && maps.Equal(before.Labels, node.Labels) {
		return
	}
	memory.known, memory.settings = true, settings
	r.Index.SetNode(node.Name, node.Labels, settings)
}

func (r *edgeNodeReconciler) settingsOf(node *syncv1alpha1.EdgeNode) desired.NodeSettings {
	return desired.NodeSettings{
		Suspend: node.Spec.Suspend, Approval: node.Annotations[syncv1alpha1.AnnotationApproveDeletes],
		BytesPerSecond: ptr.Deref(node.Spec.BytesPerSecond, r.NodeBytesPerSecond),
	}
}

// sessionOf is the session of the node, unless it lingers.
func (r *edgeNodeReconciler) sessionOf(node *syncv1alpha1.EdgeNode) (NodeState, bool) {
	state, ok := r.Fleet.Node(node.Name)
	return state, ok && admission.Check(node, state.Peer) == nil
}

// lingers reports whether there is a session that the node is not admitted with, and that
// is about to end: the node may be revoked, or be another than the one of this name that
// has opened it.
func (r *edgeNodeReconciler) lingers(node *syncv1alpha1.EdgeNode) bool {
	state, ok := r.Fleet.Node(node.Name)
	return ok && admission.Check(node, state.Peer) != nil
}
