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

package watch

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

// deadline bounds every wait for a state that must come.
const deadline = time.Minute

var (
	env   *envtest.Environment
	admin client.Client

	configMaps = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	namespaces = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	secrets    = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
)

func TestWatch(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(deadline)
	RunSpecs(t, "Watch")
}

var _ = BeforeSuite(func() {
	assets, err := controlplane.Assets()
	Expect(err).NotTo(HaveOccurred())
	env = &envtest.Environment{
		BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: time.Minute,
	}
	_, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	scheme := runtime.NewScheme()
	Expect(corev1.AddToScheme(scheme)).To(Succeed())
	Expect(rbacv1.AddToScheme(scheme)).To(Succeed())
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	admin, err = client.New(env.Config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// rig is a running Set with its index.
type rig struct {
	*Set
	index *desired.Index
	stop  func()

	mu      sync.Mutex
	changes map[desired.SourceID]int
}

// newRig runs a Set that acts as the owner of config, until the spec ends.
func newRig(config *rest.Config) *rig {
	r := &rig{changes: map[desired.SourceID]int{}}
	r.index = desired.NewIndex(nil)
	httpClient, err := rest.HTTPClientFor(config)
	Expect(err).NotTo(HaveOccurred())
	r.Set, err = New(Options{
		Config: config, HTTPClient: httpClient, Index: r.index, Log: logr.Discard(),
		OnChange: func(id desired.SourceID) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes[id]++
		},
	})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		Expect(<-ended).To(Succeed())
	})
	DeferCleanup(r.stop)
	return r
}

func (r *rig) changesOf(id desired.SourceID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes[id]
}

// use adds a source of all objects of a kind, for every node, to the index, and uses the kind.
func (r *rig) use(id desired.SourceID, gvk schema.GroupVersionKind) {
	r.index.SetSource(desired.Source{
		ID: id, Kind: gvk, ObjectSelector: labels.Everything(), NodeSelector: labels.Everything(),
	})
	r.Use(id, gvk)
}

// versions are the resource versions by name of what a source covers; nil until the
// kind has been listed.
func (r *rig) versions(id desired.SourceID) map[string]string {
	view, ok := r.index.View(id)
	if !ok || !view.Listed {
		return nil
	}
	versions := map[string]string{}
	for _, o := range view.Objects {
		versions[o.Name] = o.Version
	}
	return versions
}

func (r *rig) reason(id desired.SourceID) string {
	if problem := r.State(id).Problem; problem != nil {
		return problem.Reason
	}
	return ""
}

func (r *rig) seen(id desired.SourceID, gvk schema.GroupVersionKind) string {
	r.index.SetNode("probe", nil, desired.NodeSettings{})
	return r.index.Lookup("probe", object.Key{Group: gvk.Group, Kind: gvk.Kind, Namespace: id.Namespace, Name: "none"}).Seen
}

// newNamespace makes a namespace for one spec.
func newNamespace(ctx context.Context) string {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "watch-"}}
	Expect(admin.Create(ctx, ns)).To(Succeed())
	return ns.Name
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Data:       map[string]string{"key": "value"},
	}
}

// restrictedConfig acts as a user who may do nothing but discover.
func restrictedConfig(user string) *rest.Config {
	config := rest.CopyConfig(env.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return config
}

// widgets is a CustomResourceDefinition of a group of its own.
func widgets(group string, scope apiextensionsv1.ResourceScope) *apiextensionsv1.CustomResourceDefinition {
	preserve := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"},
			Scope: scope,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{
					OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve},
				},
			}},
		},
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
