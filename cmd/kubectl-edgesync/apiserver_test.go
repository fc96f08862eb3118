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

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// apiServer does as much of what an API server does as the plugin asks of it.
type apiServer struct {
	*httptest.Server
	mu      gosync.Mutex
	version int
	// objects are by path.
	objects map[string]*unstructured.Unstructured
	events  []apiEvent
	changed chan struct{}
	// refuse says what to answer instead, by path; nil answers.
	refuse func(r *http.Request) error
	// inventories are by node.
	inventories map[string]*queryv1alpha1.NodeInventory
	watching    chan struct{}
	requests    []string
}

type apiEvent struct {
	version    int
	collection string
	kind       string
	object     *unstructured.Unstructured
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{
		objects: map[string]*unstructured.Unstructured{}, changed: make(chan struct{}),
		inventories: map[string]*queryv1alpha1.NodeInventory{}, watching: make(chan struct{}, 100),
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// kubeconfig is a file that leads to the server, with a namespace.
func (s *apiServer) kubeconfig(t *testing.T, namespace string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	content := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
		"clusters":[{"name":"c","cluster":{"server":%q}}],
		"users":[{"name":"c","user":{}}],
		"contexts":[{"name":"c","context":{"cluster":"c","user":"c","namespace":%q}}]}`, s.URL, namespace)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func collectionOf(gvk schema.GroupVersionKind, namespace string) string {
	path := "/apis/" + gvk.Group + "/" + gvk.Version
	if gvk.Group == "" {
		path = "/api/" + gvk.Version
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + strings.ToLower(gvk.Kind) + "s"
}

// set stores objects, which may be there already.
func (s *apiServer) set(t *testing.T, objs ...client.Object) {
	t.Helper()
	for _, obj := range objs {
		gvk, err := apiutil.GVKForObject(obj, scheme)
		if err != nil {
			t.Fatal(err)
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: content}
		u.SetGroupVersionKind(gvk)
		s.mu.Lock()
		s.put(collectionOf(gvk, obj.GetNamespace()), u)
		s.mu.Unlock()
	}
}

func (s *apiServer) put(collection string, u *unstructured.Unstructured) {
	path := collection + "/" + u.GetName()
	kind := "MODIFIED"
	if s.objects[path] == nil {
		kind = "ADDED"
	}
	s.version++
	if u.GetUID() == "" {
		u.SetUID(types.UID("uid-" + u.GetName()))
	}
	if u.GetResourceVersion() == "" || kind == "MODIFIED" {
		u.SetResourceVersion(strconv.Itoa(s.version))
	}
	s.objects[path] = u
	s.tell(collection, kind, u)
}

func (s *apiServer) tell(collection, kind string, u *unstructured.Unstructured) {
	s.events = append(s.events, apiEvent{version: s.version, collection: collection, kind: kind, object: u.DeepCopy()})
	close(s.changed)
	s.changed = make(chan struct{})
}

// remove deletes an object.
func (s *apiServer) remove(obj client.Object) {
	gvk, _ := apiutil.GVKForObject(obj, scheme)
	s.mu.Lock()
	defer s.mu.Unlock()
	collection := collectionOf(gvk, obj.GetNamespace())
	path := collection + "/" + obj.GetName()
	s.version++
	u := s.objects[path]
	delete(s.objects, path)
	s.tell(collection, "DELETED", u)
}

// get is an object as it is stored.
func (s *apiServer) get(path string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[path].DeepCopy()
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	if s.refuse != nil {
		if err := s.refuse(r); err != nil {
			respondError(w, err)
			return
		}
	}
	if document := discoveryOf(r.URL.Path); document != nil {
		respond(w, http.StatusOK, document)
		return
	}
	node, isInventory := strings.CutPrefix(r.URL.Path, "/apis/query.sync.edgesync.io/v1alpha1/nodeinventories/")
	switch {
	case isInventory:
		s.serveInventory(w, node, r.URL.Query())
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	case r.Method == http.MethodGet && s.objects[r.URL.Path] != nil:
		respond(w, http.StatusOK, s.objects[r.URL.Path])
	case r.Method == http.MethodGet && kinds[filepath.Base(r.URL.Path)] != "":
		s.list(w, r)
	case r.Method == http.MethodPatch && s.objects[r.URL.Path] != nil:
		s.patch(w, r)
	default:
		at := strings.LastIndex(r.URL.Path, "/")
		respondError(w, apierrors.NewNotFound(schema.GroupResource{Group: syncv1alpha1.GroupVersion.Group, Resource: filepath.Base(r.URL.Path[:at])}, r.URL.Path[at+1:]))
	}
}

func (s *apiServer) matches(path, collection string, u *unstructured.Unstructured, query url.Values) bool {
	byLabel, _ := labels.Parse(query.Get("labelSelector"))
	byField, _ := fields.ParseSelector(query.Get("fieldSelector"))
	name, ok := strings.CutPrefix(path, collection+"/")
	return ok && !strings.Contains(name, "/") && byLabel.Matches(labels.Set(u.GetLabels())) &&
		byField.Matches(fields.Set{"metadata.name": u.GetName()})
}

func (s *apiServer) list(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		if u := s.objects[path]; s.matches(path, r.URL.Path, u, r.URL.Query()) {
			items = append(items, u.Object)
		}
	}
	respond(w, http.StatusOK, map[string]any{
		"kind": kinds[filepath.Base(r.URL.Path)] + "List", "apiVersion": syncv1alpha1.GroupVersion.String(), "metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	})
}

// watch streams events from the version that is asked for. It is called with the lock.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	s.watching <- struct{}{}
	for next := 0; ; {
		for ; next < len(s.events); next++ {
			e := s.events[next]
			if e.version > from && s.matches(e.collection+"/"+e.object.GetName(), r.URL.Path, e.object, r.URL.Query()) {
				_ = json.NewEncoder(w).Encode(map[string]any{"type": e.kind, "object": e.object.Object})
			}
		}
		w.(http.Flusher).Flush()
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
			s.mu.Lock()
			return
		}
		s.mu.Lock()
	}
}

func (s *apiServer) patch(w http.ResponseWriter, r *http.Request) {
	var patch map[string]any
	if r.Header.Get("Content-Type") != "application/merge-patch+json" || json.NewDecoder(r.Body).Decode(&patch) != nil {
		respondError(w, apierrors.NewBadRequest("not a merge patch"))
		return
	}
	u := s.objects[r.URL.Path].DeepCopy()
	merged(u.Object, patch)
	s.put(filepath.Dir(r.URL.Path), u)
	respond(w, http.StatusOK, u)
}

func merged(into, patch map[string]any) {
	for key, value := range patch {
		if change, ok := value.(map[string]any); ok {
			if before, ok := into[key].(map[string]any); ok {
				merged(before, change)
				continue
			}
		}
		into[key] = value
	}
}

func (s *apiServer) serveInventory(w http.ResponseWriter, node string, query url.Values) {
	inventory := s.inventories[node]
	if inventory == nil {
		respondError(w, apierrors.NewNotFound(queryv1alpha1.GroupVersion.WithResource(queryv1alpha1.Resource).GroupResource(), node))
		return
	}
	inventory = inventory.DeepCopy()
	inventory.Objects = slices.DeleteFunc(inventory.Objects, func(o queryv1alpha1.InventoryObject) bool {
		wanted := query.Get(queryv1alpha1.ParameterObject)
		return wanted != "" && wanted != keyOf(&o).String() ||
			query.Get(queryv1alpha1.ParameterDifferent) == "true" && o.State == queryv1alpha1.StateSynced
	})
	respond(w, http.StatusOK, inventory)
}

func discoveryOf(path string) any {
	resource := func(name, kind, short string, namespaced bool) metav1.APIResource {
		return metav1.APIResource{Name: name, Kind: kind, SingularName: strings.ToLower(kind), Namespaced: namespaced,
			ShortNames: []string{short}, Verbs: metav1.Verbs{"get", "list", "watch"}}
	}
	version := func(group, version string) metav1.GroupVersionForDiscovery {
		return metav1.GroupVersionForDiscovery{GroupVersion: group + "/" + version, Version: version}
	}
	switch path {
	case "/api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case "/apis":
		return metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{
			{Name: "apps", Versions: []metav1.GroupVersionForDiscovery{version("apps", "v1")}, PreferredVersion: version("apps", "v1")},
		}}
	case "/api/v1":
		return metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1", APIResources: []metav1.APIResource{
			resource("configmaps", "ConfigMap", "cm", true), resource("namespaces", "Namespace", "ns", false),
		}}
	case "/apis/apps/v1":
		return metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "apps/v1", APIResources: []metav1.APIResource{
			resource("deployments", "Deployment", "deploy", true),
		}}
	}
	return nil
}

func respond(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func respondError(w http.ResponseWriter, err error) {
	status := err.(apierrors.APIStatus).Status()
	if apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		http.Error(w, "404 page not found", int(status.Code)) // of a path that nobody serves
		return
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	respond(w, int(status.Code), status)
}

// notServed is what the API server answers for paths that it does not know.
func notServed(r *http.Request) error {
	return apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, schema.GroupResource{}, "", "404 page not found", 0, true)
}

// kinds are those that can be listed, by resource.
var kinds = map[string]string{"edgenodes": "EdgeNode", "objectsyncs": "ObjectSync", "clusterobjectsyncs": "ClusterObjectSync"}
