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

package query

import (
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
)

// discovery is what there is at a path; nil if the path is not one of discovery. Any user
// may know it, as of every API.
func discovery(r *http.Request) any {
	// The newer form of discovery has the same paths. Who asks for it falls back to this one.
	if strings.Contains(r.Header.Get("Accept"), "as=APIGroupDiscoveryList") {
		return nil
	}
	switch r.URL.Path {
	case "/apis":
		return metav1.APIGroupList{TypeMeta: kind("APIGroupList"), Groups: []metav1.APIGroup{group()}}
	case "/apis/" + queryv1alpha1.GroupVersion.Group:
		return group()
	case versionPath:
		return metav1.APIResourceList{
			TypeMeta:     kind("APIResourceList"),
			GroupVersion: queryv1alpha1.GroupVersion.String(),
			APIResources: []metav1.APIResource{{
				Name: queryv1alpha1.Resource, SingularName: "nodeinventory", Kind: "NodeInventory", Verbs: metav1.Verbs{"get"},
			}},
		}
	case "/openapi/v3":
		return map[string]any{"paths": map[string]any{}} // kubectl needs no schema of what cannot be written
	default:
		return nil
	}
}

func kind(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }

func group() metav1.APIGroup {
	version := metav1.GroupVersionForDiscovery{
		GroupVersion: queryv1alpha1.GroupVersion.String(), Version: queryv1alpha1.GroupVersion.Version,
	}
	return metav1.APIGroup{
		TypeMeta: kind("APIGroup"), Name: queryv1alpha1.GroupVersion.Group,
		Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
	}
}
