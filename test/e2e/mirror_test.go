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
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/testing/mirror"
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

// addTo reads the objects from the API server.
func (s selection) addTo(ctx context.Context, all mirror.Content) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(s.kind)
	if err := admin.List(ctx, list, client.InNamespace(s.namespace), client.MatchingLabels(s.labels)); err != nil {
		return err
	}
	for i := range list.Items {
		object := &list.Items[i]
		if s.name == "" || s.name == object.GetName() {
			all[mirror.Path(s.namespace, s.resource, s.kind.Group, object.GetName())] = mirror.Travelling(object.Object)
		}
	}
	return nil
}

// files reads all that is in the directory target, temporary files included.
func (n *node) files() (mirror.Content, error) { return mirror.Files(n.ObjectsDir()) }

// differences compares the node's files, object by object, with what the API server has.
func (n *node) differences(ctx context.Context, selections []selection) ([]string, error) {
	want := mirror.Content{}
	for _, s := range selections {
		if err := s.addTo(ctx, want); err != nil {
			return nil, err
		}
	}
	got, err := n.files()
	if err != nil {
		return nil, err
	}
	return mirror.Differences(got, want), nil
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
