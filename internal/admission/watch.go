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

package admission

import (
	"context"
	"fmt"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// Watch has readmit called with the name of every EdgeNode of which a Gate that reads
// from the manager's cache may decide otherwise than before: once when the manager starts, and
// when it has changed or is gone. It runs in every replica, whichever leads. readmit is
// called concurrently, and not twice at a time for one name.
func Watch(mgr ctrl.Manager, readmit func(name string)) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("admission").
		For(&syncv1alpha1.EdgeNode{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: changesAdmission})).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false), MaxConcurrentReconciles: 4}).
		Complete(reconcile.Func(func(_ context.Context, request reconcile.Request) (reconcile.Result, error) {
			readmit(request.Name)
			return reconcile.Result{}, nil
		}))
	if err != nil {
		return fmt.Errorf("watch EdgeNodes for admission: %w", err)
	}
	return nil
}

func changesAdmission(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*syncv1alpha1.EdgeNode)
	after, isNode := e.ObjectNew.(*syncv1alpha1.EdgeNode)
	return !ok || !isNode || mayDiffer(before, after)
}

// mayDiffer reports whether Check may answer differently for two states of a node.
func mayDiffer(before, after *syncv1alpha1.EdgeNode) bool {
	return before.Spec.Revoked != after.Spec.Revoked ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		before.UID != after.UID ||
		before.Annotations[syncv1alpha1.AnnotationFormerUID] != after.Annotations[syncv1alpha1.AnnotationFormerUID] ||
		before.Status.Joins != after.Status.Joins
}
