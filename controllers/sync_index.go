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
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// saw takes over a sync as the informer has it. When it returns the index knows.
func (r *syncReconciler) saw(obj client.Object) {
	sync := asSync(obj)
	memory := r.remember(sync)
	memory.mu.Lock()
	isNew := memory.source.uid == ""
	memory.sync = sync
	r.refresh(memory)
	if isNew || !r.leads() {
		// A leader that has only begun goes on from what the one before has written.
		r.followRollout(sync)
	}
	memory.mu.Unlock()
	r.Index.Advance(r.feed, obj.GetResourceVersion())
}

// lost takes over that a sync is gone.
func (r *syncReconciler) lost(obj client.Object) {
	sync := asSync(obj)
	if memory := r.memory(sync.id()); memory != nil {
		memory.mu.Lock()
		memory.gone = true
		r.drop(sync.id())
		memory.mu.Unlock()
	}
	r.mu.Lock()
	delete(r.memories, sync.id())
	r.mu.Unlock()
	r.Index.Advance(r.feed, obj.GetResourceVersion())
}

// remember finds the memory of a sync, which is another than that of one of the same name
// before it.
func (r *syncReconciler) remember(sync syncObject) *syncMemory {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := sync.id()
	memory := r.memories[id]
	if memory == nil || memory.sync.GetUID() != sync.GetUID() {
		memory = &syncMemory{sync: sync, syncedGeneration: syncedGeneration(sync.status)}
		r.memories[id] = memory
	}
	return memory
}

func (r *syncReconciler) memory(id desired.SourceID) *syncMemory {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memories[id]
}

// refresh brings the index to what is to be done about the sync now. The memory is locked.
func (r *syncReconciler) refresh(memory *syncMemory) {
	if memory.gone {
		return
	}
	sync := memory.sync
	if sync.deleting() && !controllerutil.ContainsFinalizer(sync, syncv1alpha1.Finalizer) {
		r.drop(sync.id())
		return
	}
	r.setSource(memory, r.phaseOf(memory))
}

// drop takes a sync out of the index.
func (r *syncReconciler) drop(id desired.SourceID) {
	r.Index.DeleteSource(id)
	r.Watches.Release(id)
}

// phaseOf is the phase that the sync is to be in.
func (r *syncReconciler) phaseOf(memory *syncMemory) sourcePhase {
	switch {
	case !memory.sync.deleting():
		return phaseLive
	case r.surveying(memory):
		return phaseSurvey
	default:
		return phaseDeleting
	}
}

// surveying reports whether it is still to be found out what the sync has delivered.
// A manager that finds a sync being deleted when it starts asks the index what the
// sync would cover, and freezes that on the nodes meanwhile.
func (r *syncReconciler) surveying(memory *syncMemory) bool {
	if memory.source.uid == "" {
		return true
	}
	if memory.source.phase == phaseDeleting || r.see(memory).Listed || r.Watches.State(memory.sync.id()).Problem != nil {
		return false
	}
	started, primed := r.unrest.started()
	return !primed || time.Now().Before(latest(started, memory.sync.GetDeletionTimestamp().Time).Add(r.timing.deletePatience))
}

// setSource puts the sync into the index, unless it is there as it is.
func (r *syncReconciler) setSource(memory *syncMemory, phase sourcePhase) {
	source, problem := memory.sync.source()
	memory.problem = problem
	version := memory.sync.sourceVersion(phase)
	version.approveDeletes = version.approveDeletes || memory.namespaceGoes
	if memory.source == version {
		return
	}
	if memory.source.uid != "" {
		r.see(memory) // what it has covered until now
	}
	source.Suspend = source.Suspend || phase == phaseSurvey
	source.Deleting = phase == phaseDeleting
	source.ApproveDeletes = version.approveDeletes
	r.Index.SetSource(source)
	r.Watches.Use(source.ID, source.Kind)
	memory.source = version
}

// see looks at what the sync covers.
func (r *syncReconciler) see(memory *syncMemory) desired.SourceView {
	id := memory.sync.id()
	view, _ := r.Index.View(id)
	keys := make([]object.Key, 0, len(view.Objects)+1)
	for _, o := range view.Objects {
		keys = append(keys, o.Key)
	}
	memory.covered.see(view.Nodes, keys)
	if key, ok := memory.sync.refKey(); ok && len(keys) == 0 {
		// Where the object does not exist it may not have been removed yet.
		memory.covered.goneKeys[key] = struct{}{}
	}
	return view
}
