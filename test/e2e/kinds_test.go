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
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

var _ = Describe("A kind", func() {
	It("that comes later, as a custom resource, is delivered once it is there and may be read", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		kind := newCustomKind("Kettle")
		definitions := kind.definitionSelection()
		kettles := kind.selection(f)
		sync := f.sync("kettles", kettles)
		create(ctx, sync)
		has(ctx, sync, "Stalled", metav1.ConditionTrue, "KindUnknown", "Install its CustomResourceDefinition")

		definitionSync := f.clusterSync("definitions", definitions)
		create(ctx, definitionSync, kind.definition())
		DeferCleanup(func(ctx SpecContext) { removeAndWait(ctx, kind.definition()) })
		n.becomesMirrorOf(ctx, definitions)
		has(ctx, sync, "Stalled", metav1.ConditionTrue, "Forbidden", "The manager may not read "+kind.plural+"."+kind.Group)
		allow(ctx, sync)

		first := kind.object(f.namespace, "first", f.labels())
		Eventually(admin.Create).WithContext(ctx).WithArguments(first).Should(Succeed())
		create(ctx, kind.object(f.namespace, "second", f.labels()))
		n.becomesMirrorOf(ctx, definitions, kettles)
		becomesSynced(ctx, sync, 1, 2)

		change(ctx, first, func(u *unstructured.Unstructured) { u.Object["spec"] = map[string]any{"litres": int64(2), "on": 0.5} })
		n.becomesMirrorOf(ctx, definitions, kettles)
		remove(ctx, first)
		n.becomesMirrorOf(ctx, definitions, kettles)
		becomesSynced(ctx, sync, 1, 1)
		becomesSynced(ctx, definitionSync, 1, 1)
	})

	It("that the manager may not read says how to allow it, and goes on by itself then", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "closed", Labels: f.labels()}}
		policies := selection{
			kind:     schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
			resource: "networkpolicies", namespace: f.namespace, labels: f.labels(),
		}
		sync := f.sync("policies", policies)
		readable := f.sync("readable", f.configMaps())
		create(ctx, policy, sync, f.configMap("settings", "1"), readable)
		has(ctx, sync, "Stalled", metav1.ConditionTrue, "Forbidden", "The manager may not read networkpolicies.networking.k8s.io")
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, readable, 1, 1)

		allow(ctx, sync)
		n.becomesMirrorOf(ctx, f.configMaps(), policies)
		becomesSynced(ctx, sync, 1, 1)
	})

	It("of the wrong scope is refused in words", func(ctx SpecContext) {
		f := newFixture(ctx)
		namespaced := f.sync("namespaces", selection{kind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, name: "default"})
		cluster := f.clusterSync("configmaps", f.configMaps())
		create(ctx, namespaced, cluster)
		has(ctx, namespaced, "Stalled", metav1.ConditionTrue, "WrongScope", "use a ClusterObjectSync instead")
		has(ctx, cluster, "Stalled", metav1.ConditionTrue, "WrongScope", "use an ObjectSync in the namespace of the objects instead")
	})
})

// allow applies the manifest that the message of a stalled sync holds, as it stands there.
func allow(ctx SpecContext, sync *syncv1alpha1.ObjectSync) {
	GinkgoHelper()
	status, err := statusOf(ctx, sync)
	Expect(err).NotTo(HaveOccurred())
	message := messageOf(status.Conditions, "Stalled")
	manifest := regexp.MustCompile(`(?s)kubectl apply -f - <<'EOF'\n(.*)EOF\n`).FindStringSubmatch(message)
	Expect(manifest).To(HaveLen(2), message)
	Expect(world.Apply(ctx, manifest[1])).To(Succeed())
	name := regexp.MustCompile(`name: (\S+)`).FindStringSubmatch(manifest[1])[1]
	DeferCleanup(func(ctx SpecContext) {
		remove(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}})
	})
}

// customKind is a kind of a group of its own.
type customKind struct {
	schema.GroupVersionKind
	plural string
}

// newCustomKind makes up a kind in a group that no other spec has.
func newCustomKind(kind string) customKind {
	group := strings.ToLower(kind) + ".e2e.edgesync.io"
	return customKind{schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}, strings.ToLower(kind) + "s"}
}

func (k customKind) definition() *apiextensionsv1.CustomResourceDefinition {
	preserve := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: k.plural + "." + k.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: k.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: k.Kind, Plural: k.plural},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: k.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: &preserve,
				}},
			}},
		},
	}
}

func (k customKind) definitionSelection() selection {
	return selection{
		kind:     schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
		resource: "customresourcedefinitions", name: k.definition().Name,
	}
}

func (k customKind) selection(f *fixture) selection {
	return selection{kind: k.GroupVersionKind, resource: k.plural, namespace: f.namespace, labels: f.labels()}
}

func (k customKind) object(namespace, name string, labels map[string]string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"litres": int64(1)}}}
	u.SetGroupVersionKind(k.GroupVersionKind)
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetLabels(labels)
	return u
}
