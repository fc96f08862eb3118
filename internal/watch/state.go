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

package watch

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// State says how the watch of a kind fares.
type State struct {
	// Listed says that every object of the kind is in the index, or was before the
	// watch broke.
	Listed bool
	// Problem says what is wrong now; nil if nothing is.
	Problem *Problem
}

// Problem is why a kind cannot be watched.
type Problem struct {
	// Reason is one of the API's reasons: KindUnknown, Forbidden, WrongScope or WatchFailed.
	Reason string
	// Message says who must do what.
	Message string
}

// errKindUnknown says that discovery does not know a kind.
var errKindUnknown = errors.New("the API server does not serve the kind")

// errWrongScope says that every source wants the kind in the scope that it has not.
var errWrongScope = errors.New("the kind has another scope")

// isRefusal reports whether the API server has said, at little cost, that there is
// nothing to watch.
func isRefusal(err error) bool {
	return errors.Is(err, errWrongScope) || errors.Is(err, errKindUnknown) ||
		apierrors.IsNotFound(err) || apierrors.IsForbidden(err)
}

// problemOf says what an error of discovering, listing or watching a kind means.
// res is nil as long as the kind has not been discovered.
func problemOf(gvk schema.GroupVersionKind, res *resource, err error) *Problem {
	switch {
	case errors.Is(err, errKindUnknown), apierrors.IsNotFound(err):
		return &Problem{
			Reason: syncv1alpha1.ReasonKindUnknown,
			Message: fmt.Sprintf("The API server does not serve the kind %s in %s. Install its CustomResourceDefinition, "+
				"and everything goes on by itself; or delete the sync and create one that names another kind.",
				gvk.Kind, gvk.GroupVersion()),
		}
	case apierrors.IsForbidden(err) && res != nil:
		return &Problem{Reason: syncv1alpha1.ReasonForbidden, Message: forbiddenMessage(res)}
	default:
		return &Problem{
			Reason:  syncv1alpha1.ReasonWatchFailed,
			Message: fmt.Sprintf("Watching %s in %s fails and is tried again: %v", gvk.Kind, gvk.GroupVersion(), err),
		}
	}
}

// forbiddenMessage holds the manifest that lets the manager read the resource.
func forbiddenMessage(res *resource) string {
	return fmt.Sprintf(`The manager may not read %[1]s. An administrator allows it with:

kubectl apply -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: edgesync-objects-%[1]s
  labels:
    %[2]s: "true"
rules:
- apiGroups: [%[3]q]
  resources: [%[4]q]
  verbs: [get, list, watch]
EOF
`, res.GroupResource(), syncv1alpha1.LabelAggregateToManager, res.Group, res.Resource)
}

// wrongScope is the problem of a source that wants the kind in the other scope.
func wrongScope(gvk schema.GroupVersionKind, namespaced bool) *Problem {
	message := "%s is cluster-scoped, and an ObjectSync delivers objects of its own namespace: use a ClusterObjectSync instead."
	if namespaced {
		message = "%s is namespaced, and a ClusterObjectSync delivers cluster-scoped objects: use an ObjectSync in the namespace of the objects instead."
	}
	return &Problem{Reason: syncv1alpha1.ReasonWrongScope, Message: fmt.Sprintf(message, gvk.Kind)}
}
