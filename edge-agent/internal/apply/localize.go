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

package apply

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

// foreignMetadata belongs to the object in its own cluster: owners that do not exist
// here, finalizers that nobody here removes, and what the API server sets.
var foreignMetadata = []string{
	"uid", "resourceVersion", "generation", "managedFields", "selfLink", "creationTimestamp",
	"deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences", "finalizers",
}

// localObject is what is applied to the local API server for an entry.
func localObject(entry *store.Entry) (*unstructured.Unstructured, error) {
	u, err := decodePayload(entry)
	if err != nil {
		return nil, err
	}
	for _, field := range foreignMetadata {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	dropAssigned(u)
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = make(map[string]string, 1)
	}
	annotations[sourceUIDAnnotation] = entry.UID
	u.SetAnnotations(annotations)
	return u, nil
}

// dropAssigned removes what controllers of the other cluster chose for the object,
// and what those of this one have to choose again.
func dropAssigned(u *unstructured.Unstructured) {
	drop := func(path ...string) { unstructured.RemoveNestedField(u.Object, path...) }
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(u.Object, path...)
		return value
	}
	switch u.GroupVersionKind().GroupKind().String() {
	case "Service":
		if text("spec", "clusterIP") != "None" {
			drop("spec", "clusterIP")
			drop("spec", "clusterIPs")
		}
	case "Pod":
		drop("spec", "nodeName")
	case "PersistentVolumeClaim":
		const byController, bound = "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/bind-completed"
		if text("metadata", "annotations", byController) != "" {
			drop("spec", "volumeName")
			drop("metadata", "annotations", byController)
			drop("metadata", "annotations", bound)
		}
	case "Job.batch":
		if manual, _, _ := unstructured.NestedBool(u.Object, "spec", "manualSelector"); !manual {
			drop("spec", "selector")
			for _, label := range []string{"controller-uid", "batch.kubernetes.io/controller-uid"} {
				drop("metadata", "labels", label)
				drop("spec", "template", "metadata", "labels", label)
			}
		}
	}
}
