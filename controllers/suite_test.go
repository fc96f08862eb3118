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

package controllers

import (
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

// deadline bounds every wait for a state that must come.
const deadline = time.Minute

var (
	env    *envtest.Environment
	scheme = runtime.NewScheme()
	admin  client.Client
)

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(deadline)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "Controllers")
}

var _ = BeforeSuite(func() {
	logf.SetLogger(zap.New(zap.WriteTo(GinkgoWriter), zap.UseDevMode(true)))
	for _, add := range []func(*runtime.Scheme) error{
		syncv1alpha1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme, eventsv1.AddToScheme, apiextensionsv1.AddToScheme,
	} {
		Expect(add(scheme)).To(Succeed())
	}
	assets, err := controlplane.Assets()
	Expect(err).NotTo(HaveOccurred())
	env = &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	_, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	admin, err = client.New(env.Config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// newNamespace makes a namespace for one spec.
func newNamespace(ctx SpecContext) string {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "controllers-"}}
	Expect(admin.Create(ctx, ns)).To(Succeed())
	return ns.Name
}

// create makes objects that are gone when the spec is over.
func create(ctx SpecContext, objects ...client.Object) {
	GinkgoHelper()
	for _, obj := range objects {
		Expect(admin.Create(ctx, obj)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { remove(ctx, obj) })
	}
}

// remove deletes an object and waits until it is gone.
func remove(ctx SpecContext, obj client.Object) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(admin.Delete(ctx, obj))).To(Succeed())
	Eventually(exists).WithArguments(ctx, obj).Should(BeFalse())
}

func exists(ctx SpecContext, obj client.Object) (bool, error) {
	err := admin.Get(ctx, client.ObjectKeyFromObject(obj), obj.DeepCopyObject().(client.Object))
	return err == nil, client.IgnoreNotFound(err)
}

// change reads an object anew, changes it and writes it.
func change[T client.Object](ctx SpecContext, obj T, mutate func(T)) {
	GinkgoHelper()
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
	before := obj.DeepCopyObject().(client.Object)
	mutate(obj)
	Expect(admin.Patch(ctx, obj, client.MergeFrom(before))).To(Succeed())
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "shop"}},
		Data:       map[string]string{"key": "value"},
	}
}

func edgeNode(name string, labels map[string]string) *syncv1alpha1.EdgeNode {
	return &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// refSync delivers one ConfigMap to every node that has the label.
func refSync(namespace, name, configMap, nodeLabel string) *syncv1alpha1.ObjectSync {
	return &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: syncv1alpha1.SyncSpec{
			ObjectRef:    &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: configMap},
			NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{nodeLabel: ""}},
		},
	}
}

// selectorSync delivers all objects of a kind to one node.
func selectorSync(namespace, name, apiVersion, kind, node string) *syncv1alpha1.ObjectSync {
	return &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{APIVersion: apiVersion, Kind: kind},
			NodeName:       node,
		},
	}
}

// statusOf reads the status of a sync.
func statusOf(ctx SpecContext, obj client.Object) func(Gomega) *syncv1alpha1.SyncStatus {
	return func(g Gomega) *syncv1alpha1.SyncStatus {
		read := obj.DeepCopyObject().(client.Object)
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(obj), read)).To(Succeed())
		return asSync(read).status
	}
}

// synced reads status and reason of the condition Synced of a sync.
func synced(ctx SpecContext, obj client.Object) func(Gomega) string {
	return func(g Gomega) string {
		return summary(statusOf(ctx, obj)(g).Conditions, syncv1alpha1.ConditionSynced)
	}
}

func stalled(ctx SpecContext, obj client.Object) func(Gomega) string {
	return func(g Gomega) string {
		return summary(statusOf(ctx, obj)(g).Conditions, syncv1alpha1.ConditionStalled)
	}
}

// summary is the status and reason of a condition, or nothing.
func summary(conditions []metav1.Condition, kind string) string {
	found := apimeta.FindStatusCondition(conditions, kind)
	if found == nil {
		return ""
	}
	return string(found.Status) + " " + found.Reason
}

// eventsOf reads the reasons and notes of the Events about an object.
func eventsOf(ctx SpecContext, obj client.Object) func(Gomega) map[string]string {
	return func(g Gomega) map[string]string {
		var list eventsv1.EventList
		g.Expect(admin.List(ctx, &list)).To(Succeed())
		notes := map[string]string{}
		for _, e := range list.Items {
			if e.Regarding.UID == obj.GetUID() {
				notes[e.Reason] = e.Note
			}
		}
		return notes
	}
}
