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
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

// deadline is generous: it is only waited for in full when the test fails.
const deadline = time.Minute

// cluster is a real API server that plays the cluster at the edge.
type cluster struct {
	*WithT
	t      *testing.T
	target *Kubernetes
	client dynamic.Interface
}

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	crds       = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	widgets    = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
)

func TestKubernetes(t *testing.T) {
	t.Parallel()
	if _, err := controlplane.Assets(); err != nil {
		t.Skipf("skipped: needs a real control plane: %v", err)
	}
	plane, err := controlplane.Start(t.Context(), controlplane.Config{
		Dir: t.TempDir(), Controllers: controlplane.DefaultControllers, UnsafeNoFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { NewWithT(t).Expect(plane.Stop()).To(Succeed()) })

	tests := map[string]func(c *cluster){
		"applies and updates":                    testAppliesAndUpdates,
		"leaves the cloud's metadata behind":     testForeignMetadata,
		"makes a missing namespace":              testMissingNamespace,
		"replaces an object of another uid":      testReplacesAnotherUID,
		"waits for finalizers":                   testWaitsForFinalizers,
		"repairs what others change":             testRepairs,
		"leaves alone what others add":           testLeavesOthersFields,
		"removes only what is its own":           testRemovesOnlyItsOwn,
		"removes what was not replaced":          testRemovesWhatWasNotReplaced,
		"never deletes a system namespace":       testSystemNamespaces,
		"removes a namespace":                    testRemovesANamespace,
		"custom resources wait for their kind":   testCustomResources,
		"refuses hostile names":                  testHostileNames,
		"services get an address of their own":   testService,
		"waits until what it applies is healthy": testHealth,
	}
	t.Run("group", func(t *testing.T) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(newCluster(t, plane))
			})
		}
	})
	t.Run("an API server that is away", func(t *testing.T) { testAPIServerAway(t, plane) })
}

func newCluster(t *testing.T, plane *controlplane.ControlPlane) *cluster {
	t.Helper()
	g := NewWithT(t)
	target, err := NewKubernetes("cluster", KubernetesConfig{Kubeconfig: plane.KubeconfigPath()})
	g.Expect(err).NotTo(HaveOccurred())
	config := plane.RESTConfig()
	config.QPS = -1
	httpClient, err := rest.HTTPClientFor(config)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(httpClient.CloseIdleConnections)
	client, err := dynamic.NewForConfigAndClient(config, httpClient)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(target.disconnect)
	return &cluster{WithT: g, t: t, target: target, client: client}
}

// cloudEntry is an entry with the metadata that an object of the cloud has.
func cloudEntry(gvr schema.GroupVersionResource, kind, namespace, name, uid string, more map[string]any) *store.Entry {
	gv := gvr.GroupVersion().String()
	content := map[string]any{
		"apiVersion": gv,
		"kind":       kind,
		"metadata": map[string]any{
			"name": name, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z",
			"labels": map[string]any{"from": "cloud"},
		},
	}
	if namespace != "" {
		content["metadata"].(map[string]any)["namespace"] = namespace
	}
	for key, value := range more {
		content[key] = value
	}
	payload, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	return &store.Entry{State: store.Pending, Record: store.Record{Object: object.Object{
		Key:        object.Key{Group: gvr.Group, Kind: kind, Namespace: namespace, Name: name},
		APIVersion: gv, Resource: gvr.Resource, UID: uid, Version: "48213", Payload: payload,
	}}}
}

func cloudConfigMap(namespace, name, uid, value string) *store.Entry {
	return cloudEntry(configMaps, "ConfigMap", namespace, name, uid, map[string]any{"data": map[string]any{"key": value}})
}

func (c *cluster) get(gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	c.t.Helper()
	live, err := c.client.Resource(gvr).Namespace(namespace).Get(c.t.Context(), name, metav1.GetOptions{})
	c.Expect(err).NotTo(HaveOccurred())
	return live
}

func (c *cluster) expectGone(gvr schema.GroupVersionResource, namespace, name string) {
	c.t.Helper()
	_, err := c.client.Resource(gvr).Namespace(namespace).Get(c.t.Context(), name, metav1.GetOptions{})
	c.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
}

func (c *cluster) patch(gvr schema.GroupVersionResource, namespace, name, patch string) {
	c.t.Helper()
	_, err := c.client.Resource(gvr).Namespace(namespace).Patch(c.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	c.Expect(err).NotTo(HaveOccurred())
}

func (c *cluster) apply(entry *store.Entry) (changed bool) {
	c.t.Helper()
	changed, err := c.target.Apply(c.t.Context(), entry)
	if !aboutHealth(err) {
		c.Expect(err).NotTo(HaveOccurred())
	}
	return changed
}

func dataOf(u *unstructured.Unstructured) map[string]string {
	data, _, _ := unstructured.NestedStringMap(u.Object, "data")
	return data
}

func testAppliesAndUpdates(c *cluster) {
	c.Expect(c.apply(cloudConfigMap("default", "applies", "uid-1", "one"))).To(BeTrue())
	live := c.get(configMaps, "default", "applies")
	c.Expect(dataOf(live)).To(Equal(map[string]string{"key": "one"}))
	c.Expect(live.GetManagedFields()).To(ConsistOf(HaveField("Manager", fieldManager)))

	c.Expect(c.apply(cloudConfigMap("default", "applies", "uid-1", "one"))).To(BeFalse())
	c.Expect(c.get(configMaps, "default", "applies").GetResourceVersion()).To(Equal(live.GetResourceVersion()))

	c.Expect(c.apply(cloudConfigMap("default", "applies", "uid-1", "two"))).To(BeTrue())
	c.Expect(dataOf(c.get(configMaps, "default", "applies"))).To(Equal(map[string]string{"key": "two"}))

	gone := cloudEntry(configMaps, "ConfigMap", "default", "applies", "uid-1", nil)
	c.Expect(c.apply(gone)).To(BeTrue())
	c.Expect(dataOf(c.get(configMaps, "default", "applies"))).To(BeEmpty(), "fields that are no longer applied go away")
}

func testForeignMetadata(c *cluster) {
	entry := cloudConfigMap("default", "foreign", "cloud-uid", "one")
	var content map[string]any
	c.Expect(json.Unmarshal(entry.Payload, &content)).To(Succeed())
	metadata := content["metadata"].(map[string]any)
	metadata["finalizers"] = []any{"cloud.example.com/keep"}
	metadata["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "owner-uid"}}
	entry.Payload, _ = json.Marshal(content)
	c.apply(entry)
	live := c.get(configMaps, "default", "foreign")
	c.Expect(live.GetFinalizers()).To(BeEmpty())
	c.Expect(live.GetOwnerReferences()).To(BeEmpty())
	c.Expect(live.GetUID()).NotTo(BeEquivalentTo("cloud-uid"))
	c.Expect(live.GetAnnotations()).To(HaveKeyWithValue(sourceUIDAnnotation, "cloud-uid"))
	c.Expect(live.GetLabels()).To(HaveKeyWithValue("from", "cloud"))
}

func testMissingNamespace(c *cluster) {
	c.apply(cloudConfigMap("not-yet", "settings", "uid-1", "one"))
	c.Expect(dataOf(c.get(configMaps, "not-yet", "settings"))).To(HaveKeyWithValue("key", "one"))
	c.apply(cloudEntry(namespaces, "Namespace", "", "not-yet", "uid-ns", nil))
	c.Expect(c.get(namespaces, "", "not-yet").GetLabels()).To(HaveKeyWithValue("from", "cloud"))
}

func testReplacesAnotherUID(c *cluster) {
	c.apply(cloudConfigMap("default", "again", "uid-1", "one"))
	old := c.get(configMaps, "default", "again")
	c.Expect(c.apply(cloudConfigMap("default", "again", "uid-2", "two"))).To(BeTrue())
	live := c.get(configMaps, "default", "again")
	c.Expect(live.GetUID()).NotTo(Equal(old.GetUID()))
	c.Expect(live.GetAnnotations()).To(HaveKeyWithValue(sourceUIDAnnotation, "uid-2"))
}

func testWaitsForFinalizers(c *cluster) {
	first, second := cloudConfigMap("default", "held", "uid-1", "one"), cloudConfigMap("default", "held", "uid-2", "two")
	c.apply(first)
	c.patch(configMaps, "default", "held", `{"metadata":{"finalizers":["edge.example.com/hold"]}}`)
	_, err := c.target.Apply(c.t.Context(), second)
	c.Expect(err).To(MatchError(ErrWaiting))
	c.Expect(err).To(MatchError(ContainSubstring("edge.example.com/hold")))
	c.Expect(c.target.Remove(c.t.Context(), first)).To(MatchError(ErrWaiting))

	c.patch(configMaps, "default", "held", `{"metadata":{"finalizers":[]}}`)
	c.Expect(c.apply(second)).To(BeTrue())
	c.Expect(dataOf(c.get(configMaps, "default", "held"))).To(HaveKeyWithValue("key", "two"))
}

func testRepairs(c *cluster) {
	entry := cloudConfigMap("default", "repaired", "uid-1", "one")
	c.apply(entry)
	c.patch(configMaps, "default", "repaired", `{"data":{"key":"changed by hand"}}`)
	c.Expect(c.apply(entry)).To(BeTrue())
	c.Expect(dataOf(c.get(configMaps, "default", "repaired"))).To(HaveKeyWithValue("key", "one"))
	c.Expect(c.apply(entry)).To(BeFalse())

	c.Expect(c.client.Resource(configMaps).Namespace("default").Delete(c.t.Context(), "repaired", metav1.DeleteOptions{})).To(Succeed())
	c.Expect(c.apply(entry)).To(BeTrue())
}

func testLeavesOthersFields(c *cluster) {
	entry := cloudConfigMap("default", "shared", "uid-1", "one")
	c.apply(entry)
	c.patch(configMaps, "default", "shared", `{"data":{"other":"local"}}`)
	c.Expect(c.apply(entry)).To(BeFalse())
	c.Expect(dataOf(c.get(configMaps, "default", "shared"))).To(Equal(map[string]string{"key": "one", "other": "local"}))
}

// The second object of a name was taken back while the API server was away: nothing
// has replaced the first, and nobody will ask for its removal again.
func testRemovesWhatWasNotReplaced(c *cluster) {
	c.apply(cloudConfigMap("default", "earlier", "uid-1", "one"))
	c.Expect(c.target.Remove(c.t.Context(), cloudConfigMap("default", "earlier", "uid-2", "two"))).To(Succeed())
	c.expectGone(configMaps, "default", "earlier")
}

func testRemovesOnlyItsOwn(c *cluster) {
	c.apply(cloudConfigMap("default", "own", "uid-1", "one"))
	c.Expect(c.target.Remove(c.t.Context(), cloudConfigMap("default", "own", "uid-1", "one"))).To(Succeed())
	c.expectGone(configMaps, "default", "own")
	c.Expect(c.target.Remove(c.t.Context(), cloudConfigMap("default", "own", "uid-1", "one"))).To(Succeed())

	local := &unstructured.Unstructured{}
	local.SetAPIVersion("v1")
	local.SetKind("ConfigMap")
	local.SetName("local")
	_, err := c.client.Resource(configMaps).Namespace("default").Create(c.t.Context(), local, metav1.CreateOptions{})
	c.Expect(err).NotTo(HaveOccurred())
	c.Expect(c.target.Remove(c.t.Context(), cloudConfigMap("default", "local", "uid-1", "one"))).To(Succeed())
	c.get(configMaps, "default", "local")
}

func testSystemNamespaces(c *cluster) {
	for _, name := range []string{"default", "kube-system"} {
		c.apply(cloudEntry(namespaces, "Namespace", "", name, "uid-1", nil))
		c.apply(cloudEntry(namespaces, "Namespace", "", name, "uid-2", nil))
		c.Expect(c.target.Remove(c.t.Context(), cloudEntry(namespaces, "Namespace", "", name, "uid-2", nil))).To(Succeed())
		c.Expect(c.get(namespaces, "", name).GetDeletionTimestamp()).To(BeNil())
	}
}

func testRemovesANamespace(c *cluster) {
	entry := cloudEntry(namespaces, "Namespace", "", "brief", "uid-1", nil)
	c.apply(entry)
	c.apply(cloudConfigMap("brief", "settings", "uid-1", "one"))
	c.Expect(c.target.Remove(c.t.Context(), entry)).To(MatchError(ErrWaiting))
	_, err := c.target.Apply(c.t.Context(), cloudConfigMap("brief", "late", "uid-1", "one"))
	if !apierrors.IsNotFound(err) && err != nil {
		c.Expect(err).To(MatchError(ErrWaiting))
	}
	c.Eventually(func() error { return c.target.Remove(c.t.Context(), entry) }).WithTimeout(deadline).Should(Succeed())
	c.expectGone(namespaces, "", "brief")
}

func testCustomResources(c *cluster) {
	widget := cloudEntry(widgets, "Widget", "default", "w", "uid-w", map[string]any{"spec": map[string]any{"size": 3}})
	_, err := c.target.Apply(c.t.Context(), widget)
	c.Expect(err).To(MatchError(ContainSubstring("does not know widgets in example.com/v1")))
	c.Expect(err).NotTo(MatchError(ErrInvalid))
	c.Expect(c.target.Remove(c.t.Context(), widget)).To(Succeed())

	crd := cloudEntry(crds, "CustomResourceDefinition", "", "widgets.example.com", "uid-crd", map[string]any{"spec": map[string]any{
		"group": "example.com", "scope": "Namespaced",
		"names": map[string]any{"kind": "Widget", "plural": "widgets"},
		"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
			"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
		}}},
	}})
	c.apply(crd)
	c.Eventually(func() error {
		_, err := c.target.Apply(c.t.Context(), widget)
		return err
	}).WithTimeout(deadline).Should(Succeed())
	c.Expect(c.apply(widget)).To(BeFalse())
	c.Eventually(func() error { return c.target.Remove(c.t.Context(), crd) }).WithTimeout(deadline).Should(Succeed())
}

func testHostileNames(c *cluster) {
	for _, change := range []func(e *store.Entry){
		func(e *store.Entry) { e.Resource = "../secrets" },
		func(e *store.Entry) { e.Resource = "" },
		func(e *store.Entry) { e.APIVersion = "a/b/c" },
		func(e *store.Entry) { e.APIVersion = "apps/v1" },
		func(e *store.Entry) { e.Key.Name = ".." },
		func(e *store.Entry) { e.Payload = []byte("[]") },
	} {
		entry := cloudConfigMap("default", "hostile", "uid-1", "one")
		change(entry)
		_, err := c.target.Apply(c.t.Context(), entry)
		c.Expect(err).To(MatchError(ErrInvalid))
	}
	other := cloudConfigMap("default", "hostile", "uid-1", "one")
	other.Key.Name = "another"
	_, err := c.target.Apply(c.t.Context(), other)
	c.Expect(err).To(HaveOccurred(), "the name in the content is not the key's")
}

func testService(c *cluster) {
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "services"}
	entry := cloudEntry(gvr, "Service", "default", "web", "uid-1", map[string]any{"spec": map[string]any{
		"clusterIP": "192.0.2.7", "clusterIPs": []any{"192.0.2.7"},
		"ports": []any{map[string]any{"port": 80}},
	}})
	c.apply(entry)
	ip, _, _ := unstructured.NestedString(c.get(gvr, "default", "web").Object, "spec", "clusterIP")
	c.Expect(ip).NotTo(BeEmpty())
	c.Expect(ip).NotTo(Equal("192.0.2.7"))
	c.Expect(c.apply(entry)).To(BeFalse())
}

func testAPIServerAway(t *testing.T, plane *controlplane.ControlPlane) {
	c := newCluster(t, plane)
	entry := cloudConfigMap("default", "patient", "uid-1", "one")
	c.Expect(plane.KillAPIServer()).To(Succeed())
	_, err := c.target.Apply(t.Context(), entry)
	c.Expect(err).To(HaveOccurred())
	c.Expect(err).NotTo(MatchError(ErrInvalid))
	c.Expect(plane.StartAPIServer(t.Context())).To(Succeed())
	c.Expect(c.apply(entry)).To(BeTrue())
}

func TestKubernetesWithoutAConfigurationYet(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	target, err := NewKubernetes("cluster", KubernetesConfig{Kubeconfig: path})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = target.Apply(t.Context(), cloudConfigMap("default", "x", "uid", "one"))
	g.Expect(err).To(MatchError(ContainSubstring(path)))
	g.Expect(err).NotTo(MatchError(ErrInvalid))
}

func TestLocalObjectDropsWhatTheOtherClusterChose(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ apiVersion, kind, content, want string }{
		"service": {
			"v1", "Service", `{"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"type":"ClusterIP"}}`,
			`{"spec":{"type":"ClusterIP"}}`,
		},
		"headless service": {
			"v1", "Service", `{"spec":{"clusterIP":"None","clusterIPs":["None"]}}`,
			`{"spec":{"clusterIP":"None","clusterIPs":["None"]}}`,
		},
		"pod": {"v1", "Pod", `{"spec":{"nodeName":"cloud-1","hostNetwork":true}}`, `{"spec":{"hostNetwork":true}}`},
		"claim bound by a controller": {
			"v1", "PersistentVolumeClaim",
			`{"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes","pv.kubernetes.io/bind-completed":"yes"}},"spec":{"volumeName":"pv-1"}}`,
			`{"spec":{}}`,
		},
		"claim bound by its author": {
			"v1", "PersistentVolumeClaim", `{"spec":{"volumeName":"pv-1"}}`, `{"spec":{"volumeName":"pv-1"}}`,
		},
		"job": {
			"batch/v1", "Job",
			`{"spec":{"selector":{},"template":{"metadata":{"labels":{"controller-uid":"u","batch.kubernetes.io/controller-uid":"u","app":"x"}}}}}`,
			`{"spec":{"template":{"metadata":{"labels":{"app":"x"}}}}}`,
		},
		"job with a selector of its author": {
			"batch/v1", "Job", `{"spec":{"manualSelector":true,"selector":{"matchLabels":{"app":"x"}}}}`,
			`{"spec":{"manualSelector":true,"selector":{"matchLabels":{"app":"x"}}}}`,
		},
		"another kind of that name": {
			"example.com/v1", "Pod", `{"spec":{"nodeName":"cloud-1"}}`, `{"spec":{"nodeName":"cloud-1"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var content, want map[string]any
			g.Expect(json.Unmarshal([]byte(test.content), &content)).To(Succeed())
			g.Expect(json.Unmarshal([]byte(test.want), &want)).To(Succeed())
			for _, object := range []map[string]any{content, want} {
				object["apiVersion"], object["kind"] = test.apiVersion, test.kind
				if object["metadata"] == nil {
					object["metadata"] = map[string]any{}
				}
			}
			annotations := map[string]any{sourceUIDAnnotation: "uid"}
			want["metadata"].(map[string]any)["annotations"] = annotations

			payload, err := json.Marshal(content)
			g.Expect(err).NotTo(HaveOccurred())
			local, err := localObject(&store.Entry{Record: store.Record{Object: object.Object{UID: "uid", Payload: payload}}})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(local.Object).To(Equal(want), fmt.Sprint(local.Object))
		})
	}
}

func testHealth(c *cluster) {
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	entry := cloudEntry(deployments, "Deployment", "default", "web", "uid-1", map[string]any{"spec": map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": "web"}}},
		},
	}})
	_, err := c.target.Apply(c.t.Context(), entry)
	c.Expect(err).To(MatchError(ErrProgressing))
	c.Expect(c.target.Health(c.t.Context(), entry)).To(MatchError(ErrProgressing))

	status := func(status string) {
		_, err := c.client.Resource(deployments).Namespace("default").Patch(c.t.Context(), "web", types.MergePatchType,
			[]byte(status), metav1.PatchOptions{}, "status")
		c.Expect(err).NotTo(HaveOccurred())
	}
	status(`{"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1,
		"conditions":[{"type":"Available","status":"True"},{"type":"Progressing","status":"True","reason":"NewReplicaSetAvailable"}]}}`)
	c.Expect(c.target.Health(c.t.Context(), entry)).To(Succeed())
	status(`{"status":{"conditions":[{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded"}]}}`)
	c.Expect(c.target.Health(c.t.Context(), entry)).To(MatchError(ErrUnhealthy))

	c.Expect(c.client.Resource(deployments).Namespace("default").Delete(c.t.Context(), "web", metav1.DeleteOptions{})).To(Succeed())
	c.Expect(c.target.Health(c.t.Context(), entry)).To(MatchError(ErrProgressing), "it is there again")
	c.get(deployments, "default", "web")
}
