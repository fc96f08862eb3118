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
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/rollout"
	"github.com/edgesync/edgesync/internal/watch"
)

// syncObject is an ObjectSync or a ClusterObjectSync.
type syncObject struct {
	client.Object
	spec   *syncv1alpha1.SyncSpec
	status *syncv1alpha1.SyncStatus
}

func asSync(obj client.Object) syncObject {
	switch sync := obj.(type) {
	case *syncv1alpha1.ObjectSync:
		return syncObject{Object: sync, spec: &sync.Spec, status: &sync.Status}
	case *syncv1alpha1.ClusterObjectSync:
		return syncObject{Object: sync, spec: &sync.Spec, status: &sync.Status}
	default:
		panic(fmt.Sprintf("%T is no sync", obj))
	}
}

func (s syncObject) id() desired.SourceID {
	return desired.SourceID{Namespace: s.GetNamespace(), Name: s.GetName()}
}

func (s syncObject) deleting() bool { return !s.GetDeletionTimestamp().IsZero() }

// approvesDeletes reports whether the annotation approves deletions that are held back.
func (s syncObject) approvesDeletes() bool {
	return s.GetAnnotations()[syncv1alpha1.AnnotationApproveDeletes] == "true"
}

// gvk is the kind that the sync delivers.
func (s syncObject) gvk() schema.GroupVersionKind {
	if ref := s.spec.ObjectRef; ref != nil {
		return schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	}
	return schema.FromAPIVersionAndKind(apiVersionOf(s.spec), s.spec.ObjectSelector.Kind)
}

func apiVersionOf(spec *syncv1alpha1.SyncSpec) string {
	if spec.ObjectRef != nil {
		return spec.ObjectRef.APIVersion
	}
	return spec.ObjectSelector.APIVersion
}

// approveCommand approves deletions of the sync that are held back.
func (s syncObject) approveCommand() string {
	return s.annotateCommand() + syncv1alpha1.AnnotationApproveDeletes + "=true"
}

// resumeCommand, followed by a revision, has a rollout go on that is paused.
func (s syncObject) resumeCommand() string {
	return s.annotateCommand() + "--overwrite " + syncv1alpha1.AnnotationResumeRollout + "="
}

func (s syncObject) annotateCommand() string {
	if s.GetNamespace() == "" {
		return fmt.Sprintf("kubectl annotate clusterobjectsync %s ", s.GetName())
	}
	return fmt.Sprintf("kubectl annotate objectsync %s --namespace %s ", s.GetName(), s.GetNamespace())
}

// refKey is the key of the object that objectRef names, if it does.
func (s syncObject) refKey() (object.Key, bool) {
	ref := s.spec.ObjectRef
	if ref == nil {
		return object.Key{}, false
	}
	gvk := s.gvk()
	return object.Key{Group: gvk.Group, Kind: gvk.Kind, Namespace: s.GetNamespace(), Name: ref.Name}, true
}

// source is what the index has to know of the sync. What a selector that cannot be
// parsed means nobody knows: then the sync freezes everything that it could have meant,
// on every node, and the problem says so.
func (s syncObject) source() (desired.Source, *watch.Problem) {
	source := desired.Source{
		ID: s.id(), Kind: s.gvk(), NodeName: s.spec.NodeName,
		Retain:  s.spec.DeletionPolicy == syncv1alpha1.DeletionPolicyRetain,
		Suspend: s.spec.Suspend,
		Rollout: rollout.OrderOf(s.spec.Rollout),
	}
	var problem *watch.Problem
	selector := func(field string, spec *metav1.LabelSelector) labels.Selector {
		selector, err := metav1.LabelSelectorAsSelector(spec)
		if err == nil {
			return selector
		}
		source.Suspend = true
		problem = &watch.Problem{
			Reason: syncv1alpha1.ReasonInvalidSelector,
			Message: fmt.Sprintf("spec.%s cannot be parsed, so nodes keep what they hold until it is corrected: %v",
				field, err),
		}
		return labels.Everything()
	}
	if s.spec.NodeName == "" {
		source.NodeSelector = selector("nodeSelector", s.spec.NodeSelector)
	}
	if s.spec.ObjectRef != nil {
		source.ObjectName = s.spec.ObjectRef.Name
	} else {
		source.ObjectSelector = selector("objectSelector", &s.spec.ObjectSelector.LabelSelector)
	}
	return source, problem
}

// sourceVersion tells one source of a sync from another without comparing all of it.
type sourceVersion struct {
	uid            types.UID
	generation     int64
	approveDeletes bool
	phase          sourcePhase
}

// sourcePhase is where a sync is with being deleted.
type sourcePhase int

const (
	// phaseLive: the sync wants what its spec says.
	phaseLive sourcePhase = iota
	// phaseSurvey: the sync is being deleted, and it is still to be found out what
	// it has delivered. Meanwhile it freezes that.
	phaseSurvey
	// phaseDeleting: the sync wants nothing.
	phaseDeleting
)

func (s syncObject) sourceVersion(phase sourcePhase) sourceVersion {
	return sourceVersion{
		uid: s.GetUID(), generation: s.GetGeneration(), approveDeletes: s.approvesDeletes(), phase: phase,
	}
}
