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
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// maxSelfLabels is how many labels a node can have that it says of itself.
const maxSelfLabels = 32

// withSelfLabels are the labels of a node that says claims of itself: each stands under
// a prefix of its own, and what it no longer says is gone. No other label is touched.
// What is no valid label, or too much, is ignored, and named in order.
func withSelfLabels(labels, claims map[string]string) (after map[string]string, ignored []string) {
	after = maps.Clone(labels)
	maps.DeleteFunc(after, func(key, _ string) bool { return strings.HasPrefix(key, syncv1alpha1.SelfLabelPrefix) })
	if after == nil {
		after = map[string]string{}
	}
	taken := 0
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		key, value := syncv1alpha1.SelfLabelPrefix+name, claims[name]
		if taken == maxSelfLabels || len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 {
			ignored = append(ignored, name)
			continue
		}
		after[key] = value
		taken++
	}
	return after, ignored
}

// writeSelfLabels writes what a connected node says of itself, if that is something new.
// If it must not be written yet, rest is how long that will be.
func (r *edgeNodeReconciler) writeSelfLabels(ctx context.Context, node *syncv1alpha1.EdgeNode, memory *nodeMemory) (rest time.Duration, err error) {
	state, connected := r.sessionOf(node)
	if !connected {
		return 0, nil
	}
	labels, ignored := withSelfLabels(node.Labels, state.Labels)
	if len(ignored) > 0 && memory.heard != state.SessionID {
		log.FromContext(ctx).Info("Ignored what a node says of itself: it cannot be a label, or is too much",
			"session", state.SessionID, "names", ignored, "most", maxSelfLabels)
	}
	memory.heard = state.SessionID
	if maps.Equal(node.Labels, labels) {
		return 0, nil
	}
	// Labels that have been written are news themselves, and a node may say something else each time.
	now := time.Now()
	if rest := memory.own.at.Add(r.timing.statusInterval).Sub(now); rest > 0 {
		return rest, nil
	}
	before := node.DeepCopy()
	node.Labels = labels
	if err := r.client.Patch(ctx, node, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return 0, fmt.Errorf("write what the node says of itself: %w", err)
	}
	memory.own.written(node, now)
	return 0, nil
}
