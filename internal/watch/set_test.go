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
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

var _ = Describe("A watch", func() {
	It("keeps the index as the API server is", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		first := configMap(ns, "first")
		Expect(admin.Create(ctx, first)).To(Succeed())
		r, id := newRig(env.Config), desired.SourceID{Namespace: ns, Name: "all"}
		r.use(id, configMaps)

		By("listing what is there")
		Eventually(func() map[string]string { return r.versions(id) }).Should(HaveKeyWithValue("first", first.ResourceVersion))
		Eventually(func() bool { return r.State(id).Listed }).Should(BeTrue())
		Expect(r.State(id).Problem).To(BeNil())
		Expect(r.changesOf(id)).To(BeNumerically(">", 0))

		By("following changes")
		second := configMap(ns, "second")
		Expect(admin.Create(ctx, second)).To(Succeed())
		first.Data["key"] = "changed"
		Expect(admin.Update(ctx, first)).To(Succeed())
		Eventually(func() map[string]string { return r.versions(id) }).Should(And(
			HaveKeyWithValue("first", first.ResourceVersion), HaveKeyWithValue("second", second.ResourceVersion)))
		view, _ := r.index.View(id)
		Expect(view.Objects[0].Resource).To(Equal("configmaps"))
		Expect(string(view.Objects[0].Payload)).To(And(ContainSubstring(`"changed"`), Not(ContainSubstring("managedFields"))))

		By("taking a deletion as of its own resource version")
		Expect(admin.Delete(ctx, first)).To(Succeed())
		Eventually(func() map[string]string { return r.versions(id) }).ShouldNot(HaveKey("first"))
		Expect(object.Older(first.ResourceVersion, r.seen(id, configMaps))).To(BeTrue())
	})

	It("offers labels to selectors", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		Expect(admin.Create(ctx, configMap(ns, "one"))).To(Succeed())
		Expect(admin.Create(ctx, configMap(ns, "two"))).To(Succeed())
		r, id := newRig(env.Config), desired.SourceID{Namespace: ns, Name: "selected"}
		selector, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchLabels: map[string]string{"app": "two"}})
		Expect(err).NotTo(HaveOccurred())
		r.index.SetSource(desired.Source{ID: id, Kind: configMaps, ObjectSelector: selector, NodeName: "n"})
		r.Use(id, configMaps)
		Eventually(func() map[string]string { return r.versions(id) }).Should(And(HaveLen(1), HaveKey("two")))
	})

	It("lists thousands of objects, also from an API server that does not stream lists", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		const objects = 1200 // more than two pages
		for i := range objects {
			Expect(admin.Create(ctx, configMap(ns, fmt.Sprintf("object-%04d", i)))).To(Succeed())
		}
		id := desired.SourceID{Namespace: ns, Name: "all"}
		streaming := newRig(env.Config)
		streaming.use(id, configMaps)
		Eventually(func() map[string]string { return streaming.versions(id) }).Should(HaveLen(objects))

		var refused atomic.Int32
		paging := newRig(intercepted(func(r *http.Request) *http.Response {
			if r.URL.Query().Get("sendInitialEvents") == "" {
				return nil
			}
			refused.Add(1)
			return status(r, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
		}))
		paging.use(id, configMaps)
		Eventually(func() map[string]string { return paging.versions(id) }).Should(HaveLen(objects))
		Expect(refused.Load()).To(BeNumerically(">", 0))
		Expect(paging.reason(id)).To(BeEmpty())
	})
})

var _ = Describe("The use of a kind", func() {
	It("begins with the first source and ends with the last, idempotently", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		Expect(admin.Create(ctx, configMap(ns, "object"))).To(Succeed())
		r := newRig(env.Config)
		one, two := desired.SourceID{Namespace: ns, Name: "one"}, desired.SourceID{Namespace: ns, Name: "two"}
		Expect(r.State(one)).To(BeZero())
		r.use(one, configMaps)
		r.Use(one, configMaps)
		r.use(two, configMaps)
		Expect(r.snapshot()).To(HaveLen(1))
		Eventually(func() map[string]string { return r.versions(two) }).Should(HaveKey("object"))

		r.Release(one)
		r.Release(one)
		Expect(r.versions(two)).To(HaveKey("object"))
		Expect(r.State(one)).To(BeZero())
		running := r.snapshot()[0]
		r.Release(two)
		Expect(running.done).To(BeClosed(), "nothing may write into the table any longer")
		Expect(r.snapshot()).To(BeEmpty())
		view, _ := r.index.View(two)
		Expect(view.Listed).To(BeFalse())

		By("beginning again")
		r.Use(two, configMaps)
		Eventually(func() map[string]string { return r.versions(two) }).Should(HaveKey("object"))
	})

	It("goes over to another kind", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		r, id := newRig(env.Config), desired.SourceID{Namespace: ns, Name: "one"}
		r.use(id, configMaps)
		r.use(id, secrets)
		Expect(r.snapshot()).To(HaveLen(1))
		Eventually(func() map[string]string { return r.versions(id) }).ShouldNot(BeNil())
	})

	It("is safe for concurrent use and leaves no goroutine behind", func(ctx SpecContext) {
		before := goleak.IgnoreCurrent()
		r := newRig(rest.CopyConfig(env.Config))
		kinds := []schema.GroupVersionKind{configMaps, secrets, {Group: "none.example.com", Version: "v1", Kind: "None"}}
		var users sync.WaitGroup
		for i := range 8 {
			users.Go(func() {
				id := desired.SourceID{Namespace: "default", Name: fmt.Sprint(i)}
				for turn := range 5 {
					r.use(id, kinds[(i+turn)%len(kinds)])
					r.State(id)
					if turn%2 == 0 {
						r.Release(id)
					}
				}
			})
		}
		users.Wait()
		r.stop()
		Expect(r.snapshot()).To(BeEmpty())
		r.Use(desired.SourceID{Namespace: "default", Name: "late"}, configMaps)
		Expect(r.snapshot()).To(BeEmpty())
		Expect(goleak.Find(before)).To(Succeed())
	})
})

var _ = Describe("A kind that cannot be watched", func() {
	It("comes alive once its CustomResourceDefinition is there, and goes with it", func(ctx SpecContext) {
		ns, group := newNamespace(ctx), "late.example.com"
		gvk := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Widget"}
		r, id := newRig(env.Config), desired.SourceID{Namespace: ns, Name: "widgets"}
		r.use(id, gvk)
		Eventually(func() string { return r.reason(id) }).Should(Equal(syncv1alpha1.ReasonKindUnknown))
		Expect(r.State(id).Problem.Message).To(ContainSubstring("the kind Widget in late.example.com/v1"))

		crd := widgets(group, apiextensionsv1.NamespaceScoped)
		Expect(admin.Create(ctx, crd)).To(Succeed())
		widget := &unstructured.Unstructured{}
		widget.SetGroupVersionKind(gvk)
		widget.SetNamespace(ns)
		widget.SetName("w")
		Eventually(func() error { return client.IgnoreAlreadyExists(admin.Create(ctx, widget)) }).Should(Succeed())
		Eventually(func() map[string]string { return r.versions(id) }).Should(HaveKey("w"))
		Expect(r.reason(id)).To(BeEmpty())

		Expect(admin.Delete(ctx, crd)).To(Succeed())
		Eventually(func() string { return r.reason(id) }).Should(Equal(syncv1alpha1.ReasonKindUnknown))
		Expect(r.versions(id)).To(BeEmpty())
	})

	It("says which role allows it, and comes alive once that is granted", func(ctx SpecContext) {
		ns, user := newNamespace(ctx), "restricted"
		r := newRig(restrictedConfig(user))
		id, other := desired.SourceID{Namespace: ns, Name: "one"}, desired.SourceID{Namespace: ns, Name: "two"}
		r.use(id, configMaps)
		r.use(other, secrets)
		Eventually(func() string { return r.reason(id) }).Should(Equal(syncv1alpha1.ReasonForbidden))
		Eventually(func() string { return r.reason(other) }).Should(Equal(syncv1alpha1.ReasonForbidden))

		By("applying the manifest of the message")
		role := roleIn(r.State(id).Problem.Message)
		Expect(role.Labels).To(HaveKeyWithValue("sync.edgesync.io/aggregate-to-manager", "true"))
		Expect(admin.Create(ctx, role)).To(Succeed())
		Expect(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		})).To(Succeed())
		Eventually(func() map[string]string { return r.versions(id) }).ShouldNot(BeNil())
		Eventually(func() string { return r.reason(id) }).Should(BeEmpty())
		Expect(r.reason(other)).To(Equal(syncv1alpha1.ReasonForbidden), "a role for one kind says nothing of another")
	})

	It("has the other scope only for those sources that want that", func(ctx SpecContext) {
		r := newRig(env.Config)
		wrong := desired.SourceID{Namespace: "default", Name: "wrong"}
		r.use(wrong, namespaces)
		Eventually(func() string { return r.reason(wrong) }).Should(Equal(syncv1alpha1.ReasonWrongScope))
		Expect(r.State(wrong).Problem.Message).To(ContainSubstring("use a ClusterObjectSync"))
		Expect(r.State(wrong).Listed).To(BeFalse())

		right := desired.SourceID{Name: "right"}
		r.use(right, namespaces)
		Eventually(func() map[string]string { return r.versions(right) }).Should(HaveKey("default"))
		Expect(r.reason(right)).To(BeEmpty())
		Expect(r.reason(wrong)).To(Equal(syncv1alpha1.ReasonWrongScope))

		cluster := desired.SourceID{Name: "cluster"}
		r.use(cluster, configMaps)
		Eventually(func() string { return r.reason(cluster) }).Should(Equal(syncv1alpha1.ReasonWrongScope))
		Expect(r.State(cluster).Problem.Message).To(ContainSubstring("use an ObjectSync"))
	})

	It("takes the scope of a CustomResourceDefinition that is created anew", func(ctx SpecContext) {
		group := "rescoped.example.com"
		gvk := schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Widget"}
		crd := widgets(group, apiextensionsv1.NamespaceScoped)
		Expect(admin.Create(ctx, crd)).To(Succeed())
		r, cluster, namespaced := newRig(env.Config), desired.SourceID{Name: "cluster"}, desired.SourceID{Namespace: "default", Name: "n"}
		r.use(cluster, gvk)
		Eventually(func() string { return r.reason(cluster) }).Should(Equal(syncv1alpha1.ReasonWrongScope))
		r.use(namespaced, gvk)
		Eventually(func() map[string]string { return r.versions(namespaced) }).ShouldNot(BeNil())

		Expect(admin.Delete(ctx, crd)).To(Succeed())
		Eventually(func() string { return r.reason(cluster) }).Should(Equal(syncv1alpha1.ReasonKindUnknown))
		Eventually(func() error { return admin.Create(ctx, widgets(group, apiextensionsv1.ClusterScoped)) }).Should(Succeed())
		Eventually(func() string { return r.reason(cluster) }).Should(BeEmpty())
		Expect(r.versions(cluster)).NotTo(BeNil())
		Expect(r.reason(namespaced)).To(Equal(syncv1alpha1.ReasonWrongScope))
	})

	It("fails for another cause: says so when it lasts, and recovers", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		Expect(admin.Create(ctx, configMap(ns, "object"))).To(Succeed())
		var broken atomic.Bool
		broken.Store(true)
		r := newRig(intercepted(func(r *http.Request) *http.Response {
			if broken.Load() && strings.HasSuffix(r.URL.Path, "/configmaps") {
				return status(r, http.StatusInternalServerError, metav1.StatusReasonInternalError)
			}
			return nil
		}))
		id, healthy := desired.SourceID{Namespace: ns, Name: "broken"}, desired.SourceID{Namespace: ns, Name: "healthy"}
		r.use(id, configMaps)
		r.use(healthy, secrets)
		Eventually(func() string { return r.reason(id) }).Should(Equal(syncv1alpha1.ReasonWatchFailed))
		Expect(r.versions(id)).To(BeNil())
		Eventually(func() map[string]string { return r.versions(healthy) }).ShouldNot(BeNil())
		Expect(r.reason(healthy)).To(BeEmpty())
		broken.Store(false)
		Eventually(func() map[string]string { return r.versions(id) }).Should(HaveKey("object"))
		Eventually(func() string { return r.reason(id) }).Should(BeEmpty())
	})
})

var _ = Describe("A version that a node waits for", func() {
	It("is given up once the API server is known not to have it", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		object1 := configMap(ns, "object")
		Expect(admin.Create(ctx, object1)).To(Succeed())
		r, id := newRig(env.Config), desired.SourceID{Namespace: ns, Name: "all"}
		r.index.SetNode("edge", nil, desired.NodeSettings{})
		r.index.Attach("edge", nobody{})
		r.use(id, configMaps)
		Eventually(func() map[string]string { return r.versions(id) }).ShouldNot(BeNil())

		key := object.Key{Kind: "ConfigMap", Namespace: ns, Name: "object"}
		r.index.Await("edge", key, "999999999999")
		Expect(r.index.Lookup("edge", key).Rewound).To(BeFalse())
		Eventually(func() bool { return r.index.Lookup("edge", key).Rewound }).Should(BeTrue())
	})
})

type nobody struct{}

func (nobody) Changed([]object.Key, bool) {}
func (nobody) Recheck()                   {}

// roleIn finds the ClusterRole that a message tells to apply.
func roleIn(message string) *rbacv1.ClusterRole {
	GinkgoHelper()
	_, rest, found := strings.Cut(message, "<<'EOF'\n")
	Expect(found).To(BeTrue(), message)
	manifest, _, found := strings.Cut(rest, "EOF\n")
	Expect(found).To(BeTrue(), message)
	role := &rbacv1.ClusterRole{}
	Expect(yaml.UnmarshalStrict([]byte(manifest), role)).To(Succeed())
	return role
}

// intercepted reaches the API server, but for the requests that answer answers.
func intercepted(answer func(*http.Request) *http.Response) *rest.Config {
	config := rest.CopyConfig(env.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if response := answer(r); response != nil {
				return response, nil
			}
			return next.RoundTrip(r)
		})
	})
	return config
}

func status(r *http.Request, code int, reason metav1.StatusReason) *http.Response {
	body := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"by a test","reason":%q,"code":%d}`, reason, code)
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   readCloser{strings.NewReader(body)}, Request: r,
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
