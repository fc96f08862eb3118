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

package object

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration"

// unsentMetadata says how the API server came by the object, or changes without the
// content. The resourceVersion travels beside the payload.
var unsentMetadata = []string{"managedFields", "resourceVersion", "generation", "selfLink"}

// Encode makes the object that travels from one that the API server gave: canonical
// JSON (sorted keys) without managedFields, resourceVersion, generation, kubectl's
// last-applied annotation and status, so that a change of only these is no change.
// It does not modify u. resource is the plural name of the kind.
func Encode(u *unstructured.Unstructured, resource string) (*Object, error) {
	gvk := u.GroupVersionKind()
	payload, err := json.Marshal(withoutUnsent(u.Object))
	if err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", gvk.Kind, u.GetNamespace(), u.GetName(), err)
	}
	return &Object{
		Key:        Key{Group: gvk.Group, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()},
		APIVersion: u.GetAPIVersion(),
		Resource:   resource,
		UID:        string(u.GetUID()),
		Version:    u.GetResourceVersion(),
		Digest:     DigestOf(payload),
		Payload:    payload,
	}, nil
}

// withoutUnsent copies only the maps that lose a key.
func withoutUnsent(content map[string]any) map[string]any {
	sent := copyWithout(content, "status")
	metadata, ok := sent["metadata"].(map[string]any)
	if !ok {
		return sent
	}
	metadata = copyWithout(metadata, unsentMetadata...)
	sent["metadata"] = metadata
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		return sent
	}
	if annotations = copyWithout(annotations, lastAppliedAnnotation); len(annotations) > 0 {
		metadata["annotations"] = annotations
	} else {
		delete(metadata, "annotations")
	}
	return sent
}

func copyWithout(from map[string]any, unwanted ...string) map[string]any {
	to := make(map[string]any, len(from))
	for key, value := range from {
		to[key] = value
	}
	for _, key := range unwanted {
		delete(to, key)
	}
	return to
}
