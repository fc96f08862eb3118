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
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// specLabel marks nodes and cluster-scoped objects with the spec that they belong to.
const specLabel = "e2e.edgesync.io/spec"

// fixture is what one spec works with: a namespace, and nodes that no other spec matches.
type fixture struct {
	namespace string
	nodes     []*node
}

func newFixture(ctx SpecContext) *fixture {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	Expect(admin.Create(ctx, namespace)).To(Succeed())
	f := &fixture{namespace: namespace.Name}
	DeferCleanup(f.remove)
	return f
}

// remove leaves the API server and the manager without what would slow down later specs.
func (f *fixture) remove(ctx SpecContext) {
	report(ctx, f)
	for _, n := range f.nodes {
		Expect(n.Kill()).To(Succeed())
		Expect(client.IgnoreNotFound(admin.Delete(ctx, n.edgeNode()))).To(Succeed())
	}
	Expect(client.IgnoreNotFound(admin.DeleteAllOf(ctx, &syncv1alpha1.ObjectSync{}, client.InNamespace(f.namespace)))).To(Succeed())
	Expect(admin.DeleteAllOf(ctx, &syncv1alpha1.ClusterObjectSync{}, client.MatchingLabels(f.labels()))).To(Succeed())
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
	Expect(client.IgnoreNotFound(admin.Delete(ctx, namespace))).To(Succeed())
}

// awaitEndOfSyncs waits until nothing of earlier specs is left to the manager.
func awaitEndOfSyncs(ctx SpecContext) {
	GinkgoHelper()
	Eventually(func() ([]syncv1alpha1.ObjectSync, error) {
		list := &syncv1alpha1.ObjectSyncList{}
		err := admin.List(ctx, list)
		return list.Items, err
	}).Should(BeEmpty())
}

// awaitEndOfNamespaces waits until the namespaces of earlier specs are gone.
func awaitEndOfNamespaces(ctx SpecContext) {
	GinkgoHelper()
	Eventually(func() ([]corev1.Namespace, error) {
		list := &corev1.NamespaceList{}
		err := admin.List(ctx, list)
		return slices.DeleteFunc(list.Items, func(n corev1.Namespace) bool { return n.DeletionTimestamp.IsZero() }), err
	}).Should(BeEmpty())
}

func (f *fixture) labels() map[string]string { return map[string]string{specLabel: f.namespace} }

// join makes a node that has joined and does not run yet.
func (f *fixture) join(ctx SpecContext, name string, options fleet.AgentOptions) *node {
	GinkgoHelper()
	labels := f.labels()
	labels["name"] = name
	maps.Copy(labels, options.Labels)
	options.Labels = labels
	options.ExtraArgs = append([]string{"--config=" + agentConfig}, options.ExtraArgs...)
	agent, err := world.NewAgent(ctx, f.namespace+"-"+name, options)
	Expect(err).NotTo(HaveOccurred())
	n := &node{Agent: agent}
	f.nodes = append(f.nodes, n)
	return n
}

// start makes a node that runs.
func (f *fixture) start(ctx SpecContext, name string, options ...fleet.AgentOptions) *node {
	GinkgoHelper()
	n := f.join(ctx, name, append(options, fleet.AgentOptions{})[0])
	n.start(ctx)
	return n
}

// configMap is a ConfigMap of the spec, not created.
func (f *fixture) configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: f.labels()},
		Data:       map[string]string{"key": value},
	}
}

// configMaps selects all ConfigMaps of the spec: Kubernetes itself puts others into the namespace.
func (f *fixture) configMaps() selection {
	return selection{kind: configMapKind, resource: "configmaps", namespace: f.namespace, labels: f.labels()}
}

// sync is an ObjectSync of what is selected to all nodes of the spec, not created.
func (f *fixture) sync(name string, of selection) *syncv1alpha1.ObjectSync {
	return &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: f.labels()},
		Spec:       f.spec(of),
	}
}

// clusterSync is a ClusterObjectSync of what is selected to all nodes of the spec, not created.
func (f *fixture) clusterSync(name string, of selection) *syncv1alpha1.ClusterObjectSync {
	return &syncv1alpha1.ClusterObjectSync{
		ObjectMeta: metav1.ObjectMeta{Name: f.namespace + "-" + name, Labels: f.labels()},
		Spec:       f.spec(of),
	}
}

func (f *fixture) spec(of selection) syncv1alpha1.SyncSpec {
	spec := syncv1alpha1.SyncSpec{NodeSelector: &metav1.LabelSelector{MatchLabels: f.labels()}}
	apiVersion, kind := of.kind.ToAPIVersionAndKind()
	if of.name != "" {
		spec.ObjectRef = &syncv1alpha1.ObjectReference{APIVersion: apiVersion, Kind: kind, Name: of.name}
	} else {
		spec.ObjectSelector = &syncv1alpha1.ObjectSelector{
			APIVersion: apiVersion, Kind: kind, LabelSelector: metav1.LabelSelector{MatchLabels: of.labels},
		}
	}
	return spec
}

// create creates objects in the API server.
func create(ctx SpecContext, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Expect(admin.Create(ctx, object)).To(Succeed())
	}
}

// createMany creates n ConfigMaps and returns them.
func (f *fixture) createMany(ctx SpecContext, n int, value func(i int) string) []*corev1.ConfigMap {
	GinkgoHelper()
	objects := make([]*corev1.ConfigMap, n)
	for i := range objects {
		objects[i] = f.configMap(fmt.Sprintf("object-%04d", i), value(i))
	}
	concurrently(objects, func(object *corev1.ConfigMap) error { return admin.Create(ctx, object) })
	return objects
}

// change patches an object: mutate changes what is known of it.
func change[T client.Object](ctx SpecContext, object T, mutate func(T)) {
	GinkgoHelper()
	before := object.DeepCopyObject().(client.Object)
	mutate(object)
	Expect(admin.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
}

// remove deletes objects and does not wait for their finalizers.
func remove(ctx SpecContext, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Expect(admin.Delete(ctx, object)).To(Succeed())
	}
}

// removeAndWait deletes objects and returns when they are gone.
func removeAndWait(ctx SpecContext, objects ...client.Object) {
	GinkgoHelper()
	remove(ctx, objects...)
	for _, object := range objects {
		Eventually(exists).WithContext(ctx).WithArguments(object).Should(BeFalse())
	}
}

func exists(ctx SpecContext, object client.Object) (bool, error) {
	err := admin.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object))
	return err == nil, client.IgnoreNotFound(err)
}

// inNamespace selects the objects of the spec for DeleteAllOf.
func (f *fixture) inNamespace() []client.DeleteAllOfOption {
	return []client.DeleteAllOfOption{client.InNamespace(f.namespace), client.MatchingLabels(f.labels())}
}

// text is n bytes that another seed does not have.
func text(seed, n int) string {
	return strings.Repeat(fmt.Sprintf("%08d", seed), n/8)
}
