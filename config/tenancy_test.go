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

package config

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// syncYAML is an ObjectSync of the Secret "password" for one node.
func syncYAML(name, node string) []byte {
	return fmt.Appendf(nil, `
apiVersion: sync.edgesync.io/v1alpha1
kind: ObjectSync
metadata: {name: %s, namespace: default}
spec: {objectRef: {apiVersion: v1, kind: Secret, name: password}, nodeName: %s}
`, name, node)
}

// testEveryWayToCreate: whoever may write syncs but not read a Secret has no way to
// create a sync of it.
func testEveryWayToCreate(t *testing.T) {
	t.Parallel()
	a := newAuthor(t)
	named := func(name string) *syncv1alpha1.ObjectSync {
		sync := newSync(referTo("v1", "Secret", "password"))
		sync.Name, sync.GenerateName = name, ""
		return sync
	}
	for name, try := range map[string]func() error{
		"create":        func() error { return a.Create(t.Context(), named("created")) },
		"a dry run":     func() error { return a.Create(t.Context(), named("created"), client.DryRunAll) },
		"generateName":  func() error { return a.Create(t.Context(), newSync(referTo("v1", "Secret", "password"))) },
		"by a selector": func() error { return a.Create(t.Context(), newSync(selectKind("v1", "Secret"))) },
		"while suspended": func() error {
			sync := named("suspended")
			sync.Spec.Suspend = true
			return a.Create(t.Context(), sync)
		},
		"apply": func() error {
			return a.Patch(t.Context(), named("applied"), client.RawPatch(types.ApplyYAMLPatchType, syncYAML("applied", "stolen")),
				client.FieldOwner("test"))
		},
		"a ClusterObjectSync": func() error { return a.Create(t.Context(), newClusterSync("v1", "Secret", "password")) },
		"a service account of another namespace": func() error {
			return newServiceAccountAuthor(t).Create(t.Context(), named("created"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(try()).To(And(Satisfy(apierrors.IsForbidden), MatchError(ContainSubstring("you may not"))))
		})
	}
}

// newServiceAccountAuthor acts as a ServiceAccount with a token of its own, which may
// write ObjectSyncs in the namespace default, and do everything in its own namespace.
func newServiceAccountAuthor(t *testing.T) client.Client {
	t.Helper()
	g := NewWithT(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "tenant-"}}
	create(t, namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "pipeline", Namespace: namespace.Name}}
	create(t, account)
	a := &author{name: "system:serviceaccount:" + account.Namespace + ":" + account.Name}
	bindRole(t, a.name, "edgesync-objectsync-editor-role", "default")
	a.waitForRight(t, "default", right("create", "objectsyncs.sync.edgesync.io"))
	a.allow(t, namespace.Name, rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}})

	token := &authenticationv1.TokenRequest{}
	g.Expect(cluster.admin.SubResource("token").Create(t.Context(), account, token)).To(Succeed())
	cfg := rest.AnonymousClientConfig(cluster.plane.RESTConfig())
	cfg.BearerToken = token.Status.Token
	c, err := newClient(cfg)
	g.Expect(err).NotTo(HaveOccurred())
	return c
}

// testEveryWayToRedirect: whoever may change syncs but not read a Secret cannot have it
// sent to another node by changing the sync that somebody else has made for it.
func testEveryWayToRedirect(t *testing.T) {
	t.Parallel()
	a := newAuthor(t)
	a.allow(t, "", rbacv1.PolicyRule{
		Verbs: []string{"update", "patch"}, APIGroups: []string{"sync.edgesync.io"}, Resources: []string{"objectsyncs/status"},
	})
	const toStolen = `{"spec": {"nodeName": "stolen"}}`
	for name, try := range map[string]func(*syncv1alpha1.ObjectSync) error{
		"update": func(sync *syncv1alpha1.ObjectSync) error {
			sync.Spec.NodeName = "stolen"
			return a.Update(t.Context(), sync)
		},
		"update to every node": func(sync *syncv1alpha1.ObjectSync) error {
			sync.Spec.NodeName, sync.Spec.NodeSelector = "", &metav1.LabelSelector{}
			return a.Update(t.Context(), sync)
		},
		"update with a change of metadata": func(sync *syncv1alpha1.ObjectSync) error {
			sync.Spec.NodeName, sync.Labels = "stolen", map[string]string{"team": "shop"}
			return a.Update(t.Context(), sync)
		},
		"merge patch": func(sync *syncv1alpha1.ObjectSync) error {
			return a.Patch(t.Context(), sync, client.RawPatch(types.MergePatchType, []byte(toStolen)))
		},
		"JSON patch": func(sync *syncv1alpha1.ObjectSync) error {
			return a.Patch(t.Context(), sync, client.RawPatch(types.JSONPatchType,
				[]byte(`[{"op": "replace", "path": "/spec/nodeName", "value": "stolen"}]`)))
		},
		"apply": func(sync *syncv1alpha1.ObjectSync) error {
			return a.Patch(t.Context(), sync, client.RawPatch(types.ApplyYAMLPatchType, syncYAML(sync.Name, "stolen")),
				client.FieldOwner("test"), client.ForceOwnership)
		},
	} {
		t.Run(name, func(t *testing.T) {
			sync := newSync(referTo("v1", "Secret", "password"))
			create(t, sync)
			NewWithT(t).Expect(try(sync.DeepCopy())).To(
				And(Satisfy(apierrors.IsForbidden), MatchError(ContainSubstring(`you may not get secrets "password"`))))
			expectSameSpec(t, sync)
		})
	}

	// The status is not for users to write; if one may, the spec stays as it is.
	for name, try := range map[string]func(*syncv1alpha1.ObjectSync) error{
		"update of the status": func(sync *syncv1alpha1.ObjectSync) error {
			sync.Spec.NodeName = "stolen"
			return a.Status().Update(t.Context(), sync)
		},
		"patch of the status": func(sync *syncv1alpha1.ObjectSync) error {
			return a.Status().Patch(t.Context(), sync, client.RawPatch(types.MergePatchType, []byte(toStolen)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			sync := newSync(referTo("v1", "Secret", "password"))
			create(t, sync)
			NewWithT(t).Expect(try(sync.DeepCopy())).To(Succeed())
			expectSameSpec(t, sync)
		})
	}
}

func expectSameSpec(t *testing.T, sync *syncv1alpha1.ObjectSync) {
	t.Helper()
	g := NewWithT(t)
	var stored syncv1alpha1.ObjectSync
	g.Expect(cluster.admin.Get(t.Context(), client.ObjectKeyFromObject(sync), &stored)).To(Succeed())
	g.Expect(stored.Spec).To(Equal(sync.Spec))
}

// testExchangeOfTheObject: a sync of what its author may read cannot become one of a Secret.
func testExchangeOfTheObject(t *testing.T) {
	t.Parallel()
	a := newAuthor(t)
	a.allow(t, "default", rbacv1.PolicyRule{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"configmaps"}})
	for name, c := range map[string]struct {
		sync   *syncv1alpha1.ObjectSync
		change func(*syncv1alpha1.SyncSpec)
	}{
		"another kind":          {newSync(), func(s *syncv1alpha1.SyncSpec) { s.ObjectRef.Kind = "Secret" }},
		"another selected kind": {newSync(selectKind("v1", "ConfigMap")), func(s *syncv1alpha1.SyncSpec) { s.ObjectSelector.Kind = "Secret" }},
		"a selector":            {newSync(), selectKind("v1", "Secret")},
		"a name":                {newSync(selectKind("v1", "ConfigMap")), func(s *syncv1alpha1.SyncSpec) { s.ObjectSelector = nil; referTo("v1", "Secret", "password")(s) }},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(a.Create(t.Context(), c.sync)).To(Succeed())
			changed := c.sync.DeepCopy()
			c.change(&changed.Spec)
			g.Expect(a.Update(t.Context(), changed)).To(Or(Satisfy(apierrors.IsForbidden), Satisfy(apierrors.IsInvalid)))
			expectSameSpec(t, c.sync)
		})
	}
}

// testOtherNamesOfSecrets: no way to write a group, a version or a kind gets past the
// check. The author may read the most of all groups, and no Secrets.
func testOtherNamesOfSecrets(t *testing.T) {
	t.Parallel()
	a := newAuthor(t)
	a.allow(t, "", rbacv1.PolicyRule{
		Verbs: []string{"get", "list"}, APIGroups: []string{"*"},
		Resources: []string{"configmaps", "pods", "pods/log", "serviceaccounts", "endpoints", "namespaces"},
	})
	NewWithT(t).Expect(a.Create(t.Context(), newSync(), client.DryRunAll)).To(Succeed())
	for _, apiVersion := range []string{"v1/", "/v1", "v1 ", " v1", "v1\n", "V1", "v1.", "core/v1", "/", "*/v1", "v1/*", "v1/v1", "v1/v1/v1", "secrets/v1"} {
		t.Run("apiVersion "+apiVersion, func(t *testing.T) {
			t.Parallel()
			NewWithT(t).Expect(a.Create(t.Context(), newSync(referTo(apiVersion, "Secret", "password")), client.DryRunAll)).NotTo(Succeed())
		})
	}
	for _, kind := range []string{
		"Secrets", "secret", "secrets", "SECRET", "SecretList", "Secret ", " Secret", "Secret\n", "Secret\x00", "*", "Secret/status",
		"configmaps/Secret", "Secret,ConfigMap", "../secrets", "\u0405ecret", "Secre\u200bt",
	} {
		t.Run("kind "+kind, func(t *testing.T) {
			t.Parallel()
			for _, sync := range []client.Object{newSync(referTo("v1", kind, "password")), newSync(selectKind("v1", kind))} {
				NewWithT(t).Expect(a.Create(t.Context(), sync, client.DryRunAll)).NotTo(Succeed())
			}
		})
	}
}

// testOtherNamespaces: a sync can only name what is in its own namespace.
func testOtherNamespaces(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	a := newAuthor(t)
	a.allow(t, "default", right("get", "configmaps"))
	const manifest = `{"apiVersion": "sync.edgesync.io/v1alpha1", "kind": "ObjectSync",
		"metadata": {"generateName": "test-", "namespace": "default"}, "spec": {"nodeName": "edge-1",
		"objectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "settings", "namespace": "kube-system"}}}`
	post := func(namespace, fieldValidation string) (string, error) {
		return kubectl(manifest, "create", "--as="+a.name, "--filename=-",
			"--raw=/apis/sync.edgesync.io/v1alpha1/namespaces/"+namespace+"/objectsyncs?dryRun=All&fieldValidation="+fieldValidation)
	}

	out, err := post("default", metav1.FieldValidationStrict) // what kubectl apply asks for
	g.Expect(err).To(HaveOccurred(), out)
	g.Expect(out).To(ContainSubstring(`unknown field "spec.objectRef.namespace"`))

	out, err = post("default", metav1.FieldValidationIgnore)
	g.Expect(err).NotTo(HaveOccurred(), out)
	stored := &unstructured.Unstructured{}
	g.Expect(stored.UnmarshalJSON([]byte(out))).To(Succeed())
	g.Expect(stored.Object["spec"]).To(HaveKeyWithValue("objectRef",
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}), "the field is dropped")

	out, err = post("kube-system", metav1.FieldValidationIgnore)
	g.Expect(err).To(HaveOccurred(), out)
	g.Expect(out).To(ContainSubstring("does not match the namespace"))
}

// testChangesOfMetadata: what whoever may edit syncs can do to one that delivers what
// they cannot read. None of it delivers anything.
func testChangesOfMetadata(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	sync := newSync(referTo("v1", "Secret", "password"))
	sync.Finalizers = []string{syncv1alpha1.Finalizer}
	create(t, sync)
	a := newAuthor(t)
	sync.Annotations = map[string]string{syncv1alpha1.AnnotationApproveDeletes: "true"}
	g.Expect(a.Update(t.Context(), sync)).To(Succeed())
	sync.Finalizers = nil
	g.Expect(a.Update(t.Context(), sync)).To(Succeed())
	expectSameSpec(t, sync)

	g.Expect(a.DeleteAllOf(t.Context(), sync, client.InNamespace(sync.Namespace))).
		To(Satisfy(apierrors.IsForbidden), "an editor deletes syncs one by one")
	g.Expect(a.Delete(t.Context(), sync)).To(Succeed())
}
