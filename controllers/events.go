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

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/rollout"
)

// actionDeliver is what the manager was doing when it had something to tell.
const actionDeliver = "Deliver"

// event is a transition that people are told of.
type event struct {
	kind   string // Normal or Warning
	reason string
	note   string
}

func record(recorder events.EventRecorder, about runtime.Object, told []event) {
	for _, e := range told {
		recorder.Eventf(about, nil, e.kind, e.reason, actionDeliver, "%s", truncate(e.note))
	}
}

// syncEvents are the transitions from one status of a sync to another.
func syncEvents(before, after *syncv1alpha1.SyncStatus, memory *syncMemory) []event {
	var told []event
	stalled := apimeta.FindStatusCondition(after.Conditions, syncv1alpha1.ConditionStalled)
	if isNews(before.Conditions, stalled) {
		told = append(told, event{corev1.EventTypeWarning, stalled.Reason, stalled.Message})
	}
	if isRolledOut(after.Rollout) && (!isRolledOut(before.Rollout) || before.Rollout.Revision != after.Rollout.Revision) {
		told = append(told, event{corev1.EventTypeNormal, syncv1alpha1.ReasonRolloutComplete, "Every node has had its turn"})
	}
	if syncedGeneration(after) > memory.syncedGeneration {
		told = append(told, event{corev1.EventTypeNormal, syncv1alpha1.ReasonSynced,
			"Every connected node has stored and applied every object"})
	}
	if len(before.Failures) == 0 && len(after.Failures) > 0 {
		first := after.Failures[0]
		told = append(told, event{corev1.EventTypeWarning, first.Reason,
			fmt.Sprintf("Node %s: %s: %s", first.Node, first.Object, first.Message)})
	}
	return told
}

// isRolledOut reports whether the turn of all nodes has come.
func isRolledOut(status *syncv1alpha1.RolloutStatus) bool {
	return status != nil && status.Through == rollout.End
}

// isNews reports whether a condition is True now and was not, or for another reason.
func isNews(before []metav1.Condition, now *metav1.Condition) bool {
	if now == nil || now.Status != metav1.ConditionTrue {
		return false
	}
	known := apimeta.FindStatusCondition(before, now.Type)
	return known == nil || known.Status != now.Status || known.Reason != now.Reason
}

// syncedGeneration is the generation that status says is synced; 0 if none.
func syncedGeneration(status *syncv1alpha1.SyncStatus) int64 {
	synced := apimeta.FindStatusCondition(status.Conditions, syncv1alpha1.ConditionSynced)
	if synced == nil || synced.Status != metav1.ConditionTrue {
		return 0
	}
	return synced.ObservedGeneration
}
