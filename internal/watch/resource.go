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
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// resource is how the API server serves a kind.
type resource struct {
	schema.GroupVersionResource
	namespaced bool
}

// discover asks the API server how it serves a kind. Nothing is cached, as a
// RESTMapper would: the answer is needed once per watch, and must be today's when a
// CustomResourceDefinition has been deleted and created anew with another scope.
func discover(ctx context.Context, client discovery.ServerResourcesInterfaceWithContext, gvk schema.GroupVersionKind) (*resource, error) {
	list, err := client.ServerResourcesForGroupVersionWithContext(ctx, gvk.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return nil, errKindUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("discover %s: %w", gvk.GroupVersion(), err)
	}
	for _, served := range list.APIResources {
		if served.Kind == gvk.Kind && !strings.Contains(served.Name, "/") {
			return &resource{
				GroupVersionResource: gvk.GroupVersion().WithResource(served.Name),
				namespaced:           served.Namespaced,
			}, nil
		}
	}
	return nil, errKindUnknown
}
