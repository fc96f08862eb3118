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
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

const (
	// fieldManager owns the fields that are applied.
	fieldManager = "edgesync"
	// sourceUIDAnnotation marks what was applied with the uid that the object has in
	// the cloud. Nothing without it is ever deleted.
	sourceUIDAnnotation = "sync.edgesync.io/source-uid"
)

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// KubernetesConfig configures a target that is a local API server.
type KubernetesConfig struct {
	// Kubeconfig is the path of a kubeconfig; empty means the service account of the
	// pod that the agent runs in.
	Kubeconfig string `json:"kubeconfig,omitempty"`
}

// Kubernetes is a target that applies objects to an API server, server-side and with
// force. It takes over an object that exists already. A namespace that an object
// needs is made, and left, unless it is synced itself.
type Kubernetes struct {
	name string
	load func() (*rest.Config, error)

	mu         sync.Mutex
	client     dynamic.Interface // nil until the configuration could be loaded
	httpClient *http.Client
}

// NewKubernetes makes a target that connects when it is first used: a cluster on the
// same machine may start later than the agent.
func NewKubernetes(name string, config KubernetesConfig) (*Kubernetes, error) {
	return &Kubernetes{name: name, load: func() (*rest.Config, error) {
		if config.Kubeconfig == "" {
			return rest.InClusterConfig()
		}
		return clientcmd.BuildConfigFromFlags("", config.Kubeconfig)
	}}, nil
}

// Name is the name of the target.
func (k *Kubernetes) Name() string { return k.name }

// Apply applies the object. One that was deleted and made anew in the cloud is
// deleted here first; until that one is gone Apply is ErrWaiting. Then it is ErrProgressing
// until the object is healthy.
func (k *Kubernetes) Apply(ctx context.Context, entry *store.Entry) (changed bool, err error) {
	desired, err := localObject(entry)
	if err != nil {
		return false, err
	}
	resource, err := k.resource(entry)
	if err != nil {
		return false, err
	}
	live, err := k.clear(ctx, resource, entry)
	if err != nil {
		return false, k.explain(err, entry)
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	applied, err := resource.Apply(ctx, entry.Key.Name, desired, options)
	if apierrors.IsNotFound(err) && entry.Key.Namespace != "" {
		if err := k.makeNamespace(ctx, entry.Key.Namespace); err != nil {
			return false, k.explain(err, entry)
		}
		applied, err = resource.Apply(ctx, entry.Key.Name, desired, options)
	}
	if err != nil {
		return false, k.explain(err, entry)
	}
	return differ(live, applied), health(applied)
}

// clear returns the live object, nil if there is none, after it has made sure that it
// is not an earlier object of the same name.
func (k *Kubernetes) clear(ctx context.Context, resource dynamic.ResourceInterface, entry *store.Entry) (*unstructured.Unstructured, error) {
	live, err := get(ctx, resource, entry.Key.Name)
	if live == nil || err != nil {
		return nil, err
	}
	source := live.GetAnnotations()[sourceUIDAnnotation]
	if live.GetDeletionTimestamp() == nil && (source == "" || source == entry.UID || protected(entry.Key)) {
		return live, nil
	}
	return nil, deleteAndSee(ctx, resource, live)
}

// Remove deletes the object if Apply put it there, and is ErrWaiting until it is gone.
// An earlier object of the same name goes too: it is still there when its successor was
// taken back before it could be applied.
func (k *Kubernetes) Remove(ctx context.Context, entry *store.Entry) error {
	if protected(entry.Key) {
		return nil
	}
	resource, err := k.resource(entry)
	if errors.Is(err, ErrInvalid) {
		// It has never been applied.
		return nil
	}
	if err != nil {
		return err
	}
	live, err := get(ctx, resource, entry.Key.Name)
	if isUnknownKind(err) {
		// Its objects went with it.
		return nil
	}
	if err != nil {
		return k.explain(err, entry)
	}
	if live == nil || live.GetAnnotations()[sourceUIDAnnotation] == "" {
		return nil
	}
	return k.explain(deleteAndSee(ctx, resource, live), entry)
}

// deleteAndSee deletes just this object and succeeds once it is gone.
func deleteAndSee(ctx context.Context, resource dynamic.ResourceInterface, live *unstructured.Unstructured) error {
	uid := live.GetUID()
	if live.GetDeletionTimestamp() == nil {
		propagation := metav1.DeletePropagationBackground
		err := resource.Delete(ctx, live.GetName(), metav1.DeleteOptions{
			Preconditions:     &metav1.Preconditions{UID: &uid},
			PropagationPolicy: &propagation,
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	left, err := get(ctx, resource, live.GetName())
	if left == nil || err != nil {
		return err
	}
	return fmt.Errorf("%w until the deletion of %s %s is complete; finalizers: %q",
		ErrWaiting, left.GetKind(), left.GetName(), left.GetFinalizers())
}

// get returns nil if there is no such object.
func get(ctx context.Context, resource dynamic.ResourceInterface, name string) (*unstructured.Unstructured, error) {
	live, err := resource.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && !isUnknownKind(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return live, nil
}

// makeNamespace makes a namespace, with nothing but its name, unless it exists.
func (k *Kubernetes) makeNamespace(ctx context.Context, name string) error {
	client, err := k.connect()
	if err != nil {
		return err
	}
	namespace := &unstructured.Unstructured{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind("Namespace")
	namespace.SetName(name)
	_, err = client.Resource(namespaces).Create(ctx, namespace, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// differ reports whether applying changed anything. The resourceVersion alone does
// not say so: others write the status meanwhile.
func differ(live, applied *unstructured.Unstructured) bool {
	if live == nil {
		return true
	}
	if live.GetResourceVersion() == applied.GetResourceVersion() {
		return false
	}
	before, errBefore := object.Encode(live, "")
	after, errAfter := object.Encode(applied, "")
	return errBefore != nil || errAfter != nil || before.Digest != after.Digest
}

// protected reports whether the object is a namespace that a cluster cannot do without.
func protected(key object.Key) bool {
	return key.Kind == "Namespace" && key.Group == "" && (key.Name == metav1.NamespaceDefault || strings.HasPrefix(key.Name, "kube-"))
}

func (k *Kubernetes) resource(entry *store.Entry) (dynamic.ResourceInterface, error) {
	gv, err := schema.ParseGroupVersion(entry.APIVersion)
	if err != nil || gv.Group != entry.Key.Group {
		return nil, fmt.Errorf("%w: apiVersion %q is not one of group %q", ErrInvalid, entry.APIVersion, entry.Key.Group)
	}
	for _, segment := range []string{gv.Version, entry.Resource, entry.Key.Name} {
		if err := checkComponent(segment); err != nil || segment == "" {
			return nil, fmt.Errorf("%w: %q cannot be part of a path of the API", ErrInvalid, segment)
		}
	}
	client, err := k.connect()
	if err != nil {
		return nil, err
	}
	resource := client.Resource(gv.WithResource(entry.Resource))
	if entry.Key.Namespace == "" {
		return resource, nil
	}
	return resource.Namespace(entry.Key.Namespace), nil
}

func (k *Kubernetes) connect() (dynamic.Interface, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		return k.client, nil
	}
	config, err := k.load()
	if err != nil {
		return nil, fmt.Errorf("load the configuration for the local API server: %w", err)
	}
	config.UserAgent = "edge-agent"
	// The engine bounds what runs at one time, and the API server has its own limits.
	config.QPS = -1
	if k.httpClient, err = rest.HTTPClientFor(config); err != nil {
		return nil, err
	}
	k.client, err = dynamic.NewForConfigAndClient(config, k.httpClient)
	return k.client, err
}

// disconnect has the configuration loaded again when it is next needed.
func (k *Kubernetes) disconnect() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		k.httpClient.CloseIdleConnections()
		k.client = nil
	}
}

// explain says what a user can do about an error of the API server.
func (k *Kubernetes) explain(err error, entry *store.Entry) error {
	switch {
	case isUnknownKind(err):
		return fmt.Errorf("the local API server does not know %s in %s: sync its CustomResourceDefinition too, or install it there: %w",
			entry.Resource, entry.APIVersion, err)
	case apierrors.IsUnauthorized(err):
		// They may have been replaced.
		k.disconnect()
		return fmt.Errorf("the local API server does not accept the agent's credentials: %w", err)
	case apierrors.HasStatusCause(err, "NamespaceTerminating"):
		return fmt.Errorf("%w until the old namespace %s is gone: %w", ErrWaiting, entry.Key.Namespace, err)
	default:
		return err
	}
}

// isUnknownKind tells the answer of a path that is not served from that of an object
// that does not exist.
func isUnknownKind(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}
