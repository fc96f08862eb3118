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

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

var configMapKind = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

// selection is objects in the API server.
type selection struct {
	kind     schema.GroupVersionKind
	resource string
	// namespace is empty for cluster-scoped objects.
	namespace string
	// name is empty for all objects with the labels.
	name   string
	labels map[string]string
}

func (s selection) named(name string) selection {
	s.name = name
	return s
}

// content is objects by the path of their file in a directory target.
type content map[string]map[string]any

// addTo reads the objects from the API server.
func (s selection) addTo(ctx context.Context, all content) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(s.kind)
	if err := admin.List(ctx, list, client.InNamespace(s.namespace), client.MatchingLabels(s.labels)); err != nil {
		return err
	}
	directory := s.resource
	if s.kind.Group != "" {
		directory += "." + s.kind.Group
	}
	for i := range list.Items {
		object := &list.Items[i]
		if s.name == "" || s.name == object.GetName() {
			file := path.Join(cmp.Or(s.namespace, "_cluster"), directory, object.GetName()+".yaml")
			all[file] = travelling(object.Object)
		}
	}
	return nil
}

// travelling is the part of an object that is to arrive: without the version, which a
// node that holds the content already need not be told.
func travelling(object map[string]any) map[string]any {
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

// files reads all that is in the directory target, temporary files included.
func (n *node) files() (content, error) {
	all := content{}
	err := filepath.WalkDir(n.ObjectsDir(), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var object map[string]any
		if err := yaml.UnmarshalStrict(data, &object); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if version, _, _ := unstructured.NestedString(object, "metadata", "resourceVersion"); version == "" {
			return fmt.Errorf("%s has no resourceVersion", file)
		}
		unstructured.RemoveNestedField(object, "metadata", "resourceVersion")
		relative, err := filepath.Rel(n.ObjectsDir(), file)
		all[relative] = object
		return err
	})
	return all, err
}

// differences compares the node's files, object by object, with what the API server has.
func (n *node) differences(ctx context.Context, selections []selection) ([]string, error) {
	want := content{}
	for _, s := range selections {
		if err := s.addTo(ctx, want); err != nil {
			return nil, err
		}
	}
	got, err := n.files()
	if err != nil {
		return nil, err
	}
	return differ(got, want), nil
}

// differ names the first differences.
func differ(got, want content) []string {
	const most = 5
	files := map[string]bool{}
	for _, side := range []content{got, want} {
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

// becomesMirrorOf waits until the node's directory holds just what the API server has.
func (n *node) becomesMirrorOf(ctx SpecContext, selections ...selection) {
	GinkgoHelper()
	Eventually(n.differences).WithContext(ctx).WithArguments(selections).Should(BeEmpty(), n.NodeName)
}

// becomesEmpty waits until there is no file left.
func (n *node) becomesEmpty(ctx SpecContext) {
	GinkgoHelper()
	n.becomesMirrorOf(ctx)
}

// fileOf is the text of an object's file; empty if there is none.
func (n *node) fileOf(s selection) string {
	text, err := os.ReadFile(filepath.Join(n.ObjectsDir(), s.namespace, s.resource, s.name+".yaml"))
	if err != nil && !strings.Contains(err.Error(), "no such file") {
		return err.Error()
	}
	return string(text)
}

// becomes waits until an object's file contains some text.
func (n *node) becomes(ctx SpecContext, s selection, text string) {
	GinkgoHelper()
	Eventually(n.fileOf).WithContext(ctx).WithArguments(s).Should(ContainSubstring(text))
}

// countFiles counts the files of ConfigMaps, without reading them.
func (n *node) countFiles() (int, error) {
	files, err := filepath.Glob(filepath.Join(n.ObjectsDir(), "*", "configmaps", "*.yaml"))
	return len(files), err
}
