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

// Package mirror compares the directory target of an agent with what the API server has,
// object by object, by reading both and nothing of edgesync.
package mirror

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Content is objects by the path of their file in a directory target.
type Content map[string]map[string]any

// Path is where the file of an object is. namespace is empty for a cluster-scoped object,
// group for one of the core group.
func Path(namespace, resource, group, name string) string {
	if namespace == "" {
		namespace = "_cluster"
	}
	if group != "" {
		resource += "." + group
	}
	return path.Join(namespace, resource, name+".yaml")
}

// Travelling is the part of an object that is to arrive: without the version, which a
// node that holds the content already need not be told. It changes object.
func Travelling(object map[string]any) map[string]any {
	delete(object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "selfLink"} {
		unstructured.RemoveNestedField(object, "metadata", field)
	}
	unstructured.RemoveNestedField(object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	if annotations, ok, _ := unstructured.NestedMap(object, "metadata", "annotations"); ok && len(annotations) == 0 {
		unstructured.RemoveNestedField(object, "metadata", "annotations")
	}
	return object
}

// Files reads all that is in a directory target, temporary files included.
func Files(dir string) (Content, error) {
	all := Content{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		object, err := read(file)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, file)
		all[relative] = object
		return err
	})
	return all, err
}

func read(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := yaml.UnmarshalStrict(data, &object); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if version, _, _ := unstructured.NestedString(object, "metadata", "resourceVersion"); version == "" {
		return nil, fmt.Errorf("%s has no resourceVersion", file)
	}
	unstructured.RemoveNestedField(object, "metadata", "resourceVersion")
	return object, nil
}

// Differences names the first differences.
func Differences(got, want Content) []string {
	const most = 5
	files := map[string]bool{}
	for _, side := range []Content{got, want} {
		for file := range side {
			files[file] = true
		}
	}
	var found []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		switch g, w := got[file], want[file]; {
		case len(found) == most:
			return append(found, "…")
		case g == nil:
			found = append(found, file+" is missing")
		case w == nil:
			found = append(found, file+" should not be there")
		case !reflect.DeepEqual(normal(g), normal(w)):
			found = append(found, fmt.Sprintf("%s is %.300v, not %.300v", file, g, w))
		}
	}
	return found
}

// normal makes numbers comparable, whichever decoder they come from.
func normal(object map[string]any) string {
	text, err := yaml.Marshal(object)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
