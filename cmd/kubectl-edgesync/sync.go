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
	"context"
	"fmt"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// sync is an ObjectSync or a ClusterObjectSync.
type sync struct {
	client.Object
	spec   *syncv1alpha1.SyncSpec
	status *syncv1alpha1.SyncStatus
}

func asSync(obj client.Object) sync {
	switch s := obj.(type) {
	case *syncv1alpha1.ObjectSync:
		return sync{Object: s, spec: &s.Spec, status: &s.Status}
	case *syncv1alpha1.ClusterObjectSync:
		return sync{Object: s, spec: &s.Spec, status: &s.Status}
	default:
		panic(fmt.Sprintf("%T is no sync", obj))
	}
}

// resource is how kubectl calls the kind.
func (s sync) resource() string {
	if s.clusterScoped() {
		return "clusterobjectsync"
	}
	return "objectsync"
}

func (s sync) clusterScoped() bool {
	_, ok := s.Object.(*syncv1alpha1.ClusterObjectSync)
	return ok
}

// id is the sync as the sources of an inventory have it.
func (s sync) id() string {
	if s.clusterScoped() {
		return s.GetName()
	}
	return s.GetNamespace() + "/" + s.GetName()
}

func (s sync) String() string { return s.resource() + " " + s.id() }

// arguments name the sync on the command line of this plugin.
func (s sync) arguments() string {
	if s.clusterScoped() {
		return "clusterobjectsync/" + s.GetName()
	}
	return s.GetName() + " -n " + s.GetNamespace()
}

// kubectlArguments name the sync on the command line of kubectl.
func (s sync) kubectlArguments() string {
	if s.clusterScoped() {
		return "clusterobjectsync " + s.GetName()
	}
	return "objectsync " + s.GetName() + " -n " + s.GetNamespace()
}

// groupKind is the kind that the sync delivers.
func (s sync) groupKind() schema.GroupKind {
	if ref := s.spec.ObjectRef; ref != nil {
		return schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	}
	if selector := s.spec.ObjectSelector; selector != nil {
		return schema.FromAPIVersionAndKind(selector.APIVersion, selector.Kind).GroupKind()
	}
	return schema.GroupKind{}
}

// synced is the condition of that name; its reason is Unknown before there is one.
func (s sync) synced() metav1.Condition {
	if condition := apimeta.FindStatusCondition(s.status.Conditions, syncv1alpha1.ConditionSynced); condition != nil {
		return *condition
	}
	return metav1.Condition{Type: syncv1alpha1.ConditionSynced, Status: metav1.ConditionUnknown, Reason: "Unknown",
		Message: "The manager has not looked at it yet."}
}

// stalled is the condition of that name if it is True.
func (s sync) stalled() *metav1.Condition {
	if apimeta.IsStatusConditionTrue(s.status.Conditions, syncv1alpha1.ConditionStalled) {
		return apimeta.FindStatusCondition(s.status.Conditions, syncv1alpha1.ConditionStalled)
	}
	return nil
}

// parseSync is an empty object for a SYNC argument: NAME, objectsync/NAME or
// clusterobjectsync/NAME, where the kind may be short, plural, and have its group.
func parseSync(argument, namespace string) (client.Object, error) {
	kind, name, found := strings.Cut(argument, "/")
	if !found {
		kind, name = "objectsync", argument
	}
	kind = strings.ToLower(strings.TrimSuffix(kind, "."+syncv1alpha1.GroupVersion.Group))
	if name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("%q names no sync: use NAME, objectsync/NAME or clusterobjectsync/NAME", argument)
	}
	switch kind {
	case "objectsync", "objectsyncs", "osync":
		return &syncv1alpha1.ObjectSync{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}, nil
	case "clusterobjectsync", "clusterobjectsyncs", "cosync":
		return &syncv1alpha1.ClusterObjectSync{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
	}
	return nil, fmt.Errorf("%q is no kind of sync: use objectsync/NAME or clusterobjectsync/NAME", kind)
}

// getSync reads the sync that the argument names.
func (p *plugin) getSync(ctx context.Context, c client.Client, argument string) (sync, error) {
	namespace, err := p.namespace()
	if err != nil {
		return sync{}, err
	}
	obj, err := parseSync(argument, namespace)
	if err != nil {
		return sync{}, err
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
		return sync{}, err
	}
	return asSync(obj), nil
}

// listSyncs reads the syncs of a namespace, or the cluster's if it is empty.
func listSyncs(ctx context.Context, c client.Client, namespace string) ([]sync, error) {
	var list client.ObjectList = &syncv1alpha1.ObjectSyncList{}
	if namespace == "" {
		list = &syncv1alpha1.ClusterObjectSyncList{}
	}
	if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var syncs []sync
	err := apimeta.EachListItem(list, func(item runtime.Object) error {
		syncs = append(syncs, asSync(item.(client.Object)))
		return nil
	})
	return syncs, err
}
