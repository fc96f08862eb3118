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
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// author is a user who may write syncs, and holds the given rights as well.
type author struct {
	client.Client
	name string
}

// newAuthor makes a user who may write ObjectSyncs in all namespaces and
// ClusterObjectSyncs.
func newAuthor(t *testing.T) *author {
	t.Helper()
	// Each has a name of its own, also with -count: rights that were given stay.
	name := strings.ToLower(strings.ReplaceAll(t.Name(), "/", ":")) + ":" + rand.String(8)
	a := &author{clientFor(t, name), name}
	for _, kind := range []string{"objectsync", "clusterobjectsync"} {
		bindRole(t, a.name, "edgesync-"+kind+"-editor-role", "")
		a.waitForRight(t, "", rbacv1.PolicyRule{APIGroups: []string{"sync.edgesync.io"}, Resources: []string{kind + "s"}, Verbs: []string{"update"}})
	}
	return a
}

// allow gives the author a right in one namespace or, if it is empty, everywhere,
// and returns when the API server knows.
func (a *author) allow(t *testing.T, namespace string, rule rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}, Rules: []rbacv1.PolicyRule{rule}}
	create(t, role)
	bindRole(t, a.name, role.Name, namespace)
	a.waitForRight(t, namespace, rule)
}

func (a *author) waitForRight(t *testing.T, namespace string, rule rbacv1.PolicyRule) {
	t.Helper()
	attributes := &authorizationv1.ResourceAttributes{
		Namespace: namespace,
		Group:     rule.APIGroups[0],
		Resource:  rule.Resources[0],
		Verb:      rule.Verbs[0],
	}
	if len(rule.ResourceNames) > 0 {
		attributes.Name = rule.ResourceNames[0]
	}
	NewWithT(t).Eventually(func() (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               a.name,
			ResourceAttributes: attributes,
		}}
		err := cluster.admin.Create(t.Context(), review)
		return review.Status.Allowed, err
	}).WithTimeout(deadline).Should(BeTrue())
}

// right is a rule for one verb on one resource, "resource" or "resource.group".
func right(verb, resource string, names ...string) rbacv1.PolicyRule {
	resource, group, _ := strings.Cut(resource, ".")
	return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
}

// waitForPolicies returns when the API server enforces both policies.
func waitForPolicies(t *testing.T) {
	t.Helper()
	a := newAuthor(t)
	a.allow(t, "", right("get", "settingses.test.example.com")) // satisfies the first policy alone
	g := NewWithT(t)
	for _, sync := range []client.Object{
		newSync(referTo("v1", "Secret", "password")),
		newSync(referTo("test.example.com/v1", "Settings", "shop")),
	} {
		g.Eventually(func() error { return a.Create(t.Context(), sync, client.DryRunAll) }).
			WithTimeout(deadline).Should(Satisfy(apierrors.IsForbidden))
	}
}

// customResources are kinds with their plurals. The API server learns of them in
// this order: waitForPolicies waits for the last.
var customResources = []struct{ kind, plural string }{
	{"PriceList", "pricelists"},
	{"Gateway", "gateways"},
	{"Mesh", "meshes"},
	{"Index", "indices"},   // irregular
	{"Price", "pricetags"}, // its derived name is that of another resource
	{"Tag", "prices"},
	{"Settings", "settings"},
}

func installCustomResources(t *testing.T) {
	t.Helper()
	anything := apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)}
	for _, c := range customResources {
		err := cluster.admin.Create(t.Context(), &apiextensionsv1.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{Name: c.plural + ".test.example.com"},
			Spec: apiextensionsv1.CustomResourceDefinitionSpec{
				Group: "test.example.com",
				Scope: apiextensionsv1.NamespaceScoped,
				Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: c.kind, Plural: c.plural},
				Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
					Name: "v1", Served: true, Storage: true,
					Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &anything},
				}},
			},
		})
		NewWithT(t).Expect(client.IgnoreAlreadyExists(err)).To(Succeed()) // with -count
	}
}

func TestPolicy(t *testing.T) {
	installCustomResources(t)
	waitForPolicies(t)

	const group = "test.example.com/v1"
	in := func(namespace string, rule rbacv1.PolicyRule) map[string]rbacv1.PolicyRule {
		return map[string]rbacv1.PolicyRule{namespace: rule}
	}
	everywhere := ""
	for name, c := range map[string]struct {
		rights map[string]rbacv1.PolicyRule // by namespace; in "" it holds everywhere
		sync   client.Object
		err    string // "" if it is allowed
	}{
		"no right at all": {
			nil, newSync(),
			`you may not get configmaps "settings" in namespace "default", so you may not have them delivered`},
		"get this object":       {in("default", right("get", "configmaps", "settings")), newSync(), ""},
		"get all objects":       {in("default", right("get", "configmaps")), newSync(), ""},
		"get in all namespaces": {in(everywhere, right("get", "configmaps")), newSync(), ""},
		"any resource":          {in("default", right("get", "*.*")), newSync(), ""},
		"get another object":    {in("default", right("get", "configmaps", "other")), newSync(), "you may not get"},
		"get another kind":      {in("default", right("get", "secrets")), newSync(), "you may not get"},
		"get in another group":  {in("default", right("get", "configmaps.example.com")), newSync(), "you may not get"},
		"get in another namespace": {
			in("kube-system", right("get", "configmaps")), newSync(),
			"you may not get"},
		"list for an object": {in("default", right("list", "configmaps")), newSync(), "you may not get"},
		"list for a selector": {
			in("default", right("list", "configmaps")), newSync(selectKind("v1", "ConfigMap")), ""},
		"get for a selector": {
			in("default", right("get", "configmaps")), newSync(selectKind("v1", "ConfigMap")),
			`you may not list configmaps in namespace "default"`},
		"list some for a selector": {
			in("default", right("list", "configmaps", "settings")), newSync(selectKind("v1", "ConfigMap")),
			"you may not list"},

		"a cluster-scoped object": {
			in(everywhere, right("get", "namespaces")), newClusterSync("v1", "Namespace", "shop"), ""},
		"a cluster-scoped object by a right in one namespace": {
			in("default", right("get", "namespaces")), newClusterSync("v1", "Namespace", "shop"),
			`you may not get namespaces "shop", so`},
		"a namespaced kind in a ClusterObjectSync": {
			in("default", right("get", "secrets")), newClusterSync("v1", "Secret", "password"), "you may not get"},

		"a custom resource": {
			in("default", right("get", "pricelists.test.example.com")), newSync(referTo(group, "PriceList", "eu")), ""},
		"a custom resource that ends in a vowel and y": {
			in("default", right("get", "gateways.test.example.com")), newSync(referTo(group, "Gateway", "eu")), ""},
		"a custom resource that ends in sh": {
			in("default", right("get", "meshes.test.example.com")), newSync(referTo(group, "Mesh", "eu")), ""},
		"a custom resource that is a plural": {
			in("default", right("get", "settings.test.example.com")), newSync(referTo(group, "Settings", "eu")), ""},
		"a custom resource of another group": {
			in("default", right("get", "pricelists.example.com")), newSync(referTo(group, "PriceList", "eu")),
			"you may not get pricelists.test.example.com"},
		"an irregular plural": {
			in("default", right("get", "indices.test.example.com")), newSync(referTo(group, "Index", "eu")),
			"you may not get indexes.test.example.com"},
		"an irregular plural, by the derived name alone": {
			in("default", right("get", "indexes.test.example.com")), newSync(referTo(group, "Index", "eu")),
			"you may not get indices.test.example.com"},
		"an irregular plural, by both names": {
			in("default", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"test.example.com"}, Resources: []string{"indices", "indexes"}}),
			newSync(referTo(group, "Index", "eu")), ""},
		"a derived name that is another resource": {
			in("default", right("get", "prices.test.example.com")), newSync(referTo(group, "Price", "eu")),
			"you may not get pricetags.test.example.com"},
		"a kind that nobody serves": {
			in("default", right("get", "widgets.example.com")), newSync(referTo("example.com/v1", "Widget", "eu")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthor(t)
			for namespace, rule := range c.rights {
				a.allow(t, namespace, rule)
			}
			err := a.Create(t.Context(), c.sync, client.DryRunAll)
			expectResult(t, err, c.err)
			if c.err != "" {
				NewWithT(t).Expect(err).To(Satisfy(apierrors.IsForbidden))
			}
		})
	}

	t.Run("update", testPolicyOnUpdate)
	t.Run("every way to create", testEveryWayToCreate)
	t.Run("every way to redirect", testEveryWayToRedirect)
	t.Run("exchange of the object", testExchangeOfTheObject)
	t.Run("other names of Secrets", testOtherNamesOfSecrets)
	t.Run("other namespaces", testOtherNamespaces)
	t.Run("changes of metadata", testChangesOfMetadata)
	t.Run("every kind of Kubernetes", testPolicyOnEveryKind)
}

func newClusterSync(apiVersion, kind, name string) *syncv1alpha1.ClusterObjectSync {
	sync := newSync(referTo(apiVersion, kind, name))
	return &syncv1alpha1.ClusterObjectSync{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}, Spec: sync.Spec}
}

// Whoever changes a spec must be able to read the object, whoever wrote it first;
// metadata and status deliver nothing new.
func testPolicyOnUpdate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	sync := newSync(referTo("v1", "Secret", "password"))
	create(t, sync)
	a := newAuthor(t)

	sync.Labels = map[string]string{"team": "shop"}
	g.Expect(a.Update(t.Context(), sync)).To(Succeed())

	redirected := sync.DeepCopy()
	redirected.Spec.NodeName = "stolen"
	expectResult(t, a.Update(t.Context(), redirected), `you may not get secrets "password"`)

	manager := clientFor(t, "system:serviceaccount:edgesync-system:edgesync-controller-manager")
	before := sync.DeepCopy()
	sync.Finalizers = []string{syncv1alpha1.Finalizer}
	g.Expect(manager.Patch(t.Context(), sync, client.MergeFrom(before))).To(Succeed())
	before = sync.DeepCopy()
	sync.Status.Desired = 1
	g.Expect(manager.Status().Patch(t.Context(), sync, client.MergeFrom(before))).To(Succeed())

	a.allow(t, "default", right("get", "secrets", "password"))
	sync.Spec.NodeName = "edge-2"
	g.Expect(a.Update(t.Context(), sync)).To(Succeed())

	before = sync.DeepCopy()
	sync.Finalizers = nil
	g.Expect(manager.Patch(t.Context(), sync, client.MergeFrom(before))).To(Succeed())
}

// The right to read just the resource that the API server serves for a kind must be
// enough: the policy's plural is right for every kind built into Kubernetes.
func testPolicyOnEveryKind(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	discoveryClient, err := discovery.NewDiscoveryClientForConfig(cluster.plane.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	lists, err := discoveryClient.ServerPreferredResources()
	if failed, ok := discovery.GroupDiscoveryFailedErrorGroups(err); ok {
		delete(failed, queryv1alpha1.GroupVersion) // no manager runs that serves it
		g.Expect(failed).To(BeEmpty())
	} else {
		g.Expect(err).NotTo(HaveOccurred())
	}
	for _, list := range lists {
		group, _, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group = ""
		}
		if strings.HasSuffix(group, ".example.com") {
			continue
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Verbs.String(), "get") {
				continue // cannot be read, so cannot be delivered
			}
			t.Run(resource.Kind+"."+group, func(t *testing.T) {
				t.Parallel()
				a := newAuthor(t)
				a.allow(t, "", right("get", resource.Name+"."+group))
				var sync client.Object = newClusterSync(list.GroupVersion, resource.Kind, "any")
				if resource.Namespaced {
					sync = newSync(referTo(list.GroupVersion, resource.Kind, "any"))
				}
				NewWithT(t).Expect(a.Create(t.Context(), sync, client.DryRunAll)).To(Succeed())
			})
		}
	}
}
