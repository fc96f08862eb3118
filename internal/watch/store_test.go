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
	"errors"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// A reflector must find that the store wants bookmarks, and hand over every kind of event.
func TestStoreTakesEverythingFromAReflector(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	index := desired.NewIndex(nil)
	id := desired.SourceID{Namespace: "shop", Name: "all"}
	index.SetNode("edge", nil, desired.NodeSettings{})
	index.SetSource(desired.Source{ID: id, Kind: configMaps, ObjectSelector: labels.Everything(), NodeName: "edge"})

	events := watch.NewFakeWithChanSize(10, false)
	for _, event := range []watch.Event{
		{Type: watch.Added, Object: unstructuredConfigMap("a", "1")},
		{Type: watch.Added, Object: unstructuredConfigMap("b", "2")},
		{Type: watch.Bookmark, Object: endOfList("2")},
		{Type: watch.Modified, Object: unstructuredConfigMap("a", "3")},
		{Type: watch.Deleted, Object: unstructuredConfigMap("b", "4")},
		{Type: watch.Bookmark, Object: unstructuredConfigMap("", "9")},
	} {
		events.Action(event.Type, event.Object)
	}
	lists := 0
	reflector := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			return nil, errors.New("lists are streamed")
		},
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return events, nil },
	}, nil, &store{
		table: index.Watch(configMaps), resource: "configmaps", log: logr.Discard(), listed: func() { lists++ },
	}, cache.ReflectorOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- reflector.ListAndWatchWithContext(ctx) }()

	key := object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "a"}
	g.Eventually(func() string { return index.Lookup("edge", key).Seen }, deadline).Should(Equal("9"))
	cancel()
	g.Expect(<-ended).To(Succeed())
	g.Expect(lists).To(Equal(1))
	g.Expect(index.Lookup("edge", key).Object.Version).To(Equal("3"))
	key.Name = "b"
	g.Expect(index.Lookup("edge", key).Object).To(BeNil())
}

func TestStoreLeavesOutWhatItCannotEncode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	index := desired.NewIndex(nil)
	id := desired.SourceID{Namespace: "shop", Name: "all"}
	index.SetSource(desired.Source{ID: id, Kind: configMaps, ObjectSelector: labels.Everything(), NodeName: "edge"})
	s := &store{table: index.Watch(configMaps), log: logr.Discard(), listed: func() {}}
	bad := unstructuredConfigMap("bad", "1")
	bad.Object["data"] = map[string]any{"not JSON": make(chan int)}
	encoded, err := s.Transformer()(bad)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Replace([]any{bad, encoded, unstructuredConfigMap("good", "2")}, "2")).To(Succeed())
	g.Expect(s.Add(bad)).To(Succeed())
	g.Expect(s.Delete(bad)).To(Succeed())
	view, _ := index.View(id)
	g.Expect(view.Listed).To(BeTrue())
	g.Expect(view.Objects).To(HaveLen(1))
}

func TestProblemOf(t *testing.T) {
	t.Parallel()
	gvk := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	res := &resource{GroupVersionResource: gvk.GroupVersion().WithResource("deployments"), namespaced: true}
	forbidden := apierrors.NewForbidden(res.GroupResource(), "", errors.New("no"))
	for name, test := range map[string]struct {
		err     error
		res     *resource
		refusal bool
		reason  string
		message string
	}{
		"unknown to discovery": {err: errKindUnknown, refusal: true, reason: syncv1alpha1.ReasonKindUnknown, message: "Deployment in apps/v1"},
		"gone":                 {err: apierrors.NewNotFound(res.GroupResource(), ""), res: res, refusal: true, reason: syncv1alpha1.ReasonKindUnknown},
		"forbidden":            {err: forbidden, res: res, refusal: true, reason: syncv1alpha1.ReasonForbidden, message: "The manager may not read deployments.apps"},
		"discovery forbidden":  {err: forbidden, refusal: true, reason: syncv1alpha1.ReasonWatchFailed},
		"other":                {err: errors.New("boom"), res: res, reason: syncv1alpha1.ReasonWatchFailed, message: "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			problem := problemOf(gvk, test.res, test.err)
			g.Expect(problem.Reason).To(Equal(test.reason))
			g.Expect(problem.Message).To(ContainSubstring(test.message))
			g.Expect(isRefusal(test.err)).To(Equal(test.refusal))
		})
	}
}

func TestForbiddenMessageOfTheCoreGroup(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	message := forbiddenMessage(&resource{GroupVersionResource: configMaps.GroupVersion().WithResource("configmaps")})
	g.Expect(message).To(ContainSubstring("may not read configmaps."))
	g.Expect(message).To(ContainSubstring("name: edgesync-objects-configmaps\n"))
	g.Expect(message).To(ContainSubstring(`apiGroups: [""]`))
}

func unstructuredConfigMap(name, version string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(configMaps)
	u.SetNamespace("shop")
	u.SetName(name)
	u.SetResourceVersion(version)
	return u
}

func endOfList(version string) *unstructured.Unstructured {
	u := unstructuredConfigMap("", version)
	u.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return u
}
