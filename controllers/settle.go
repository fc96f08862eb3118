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
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// settling holds the changes of a node's status back that move while objects are
// delivered: they are written once they have come to rest, so that an update that
// thousands of nodes take in a moment writes nothing.
type settling struct {
	// last is the status to be written, as it was since restingSince; nil if there is
	// nothing to write, and movingSince tells since when there is.
	last                      *syncv1alpha1.EdgeNodeStatus
	restingSince, movingSince time.Time
}

// rest is how long it will be until next may be written in the place of written; 0
// means now. Nothing may be written if both are the same: then done is true.
func (s *settling) rest(now time.Time, written, next *syncv1alpha1.EdgeNodeStatus, timing timing) (rest time.Duration, done bool) {
	if equality.Semantic.DeepEqual(written, next) {
		*s = settling{}
		return 0, true
	}
	if s.last == nil {
		s.movingSince = now
	}
	if s.last == nil || !equality.Semantic.DeepEqual(withoutTransitions(s.last), withoutTransitions(next)) {
		s.last, s.restingSince = next, now
	}
	if !differsOnlyInProgress(written, next) {
		return 0, false
	}
	settled := s.restingSince.Add(timing.settle)
	if last := s.movingSince.Add(timing.settleAtMost); last.Before(settled) {
		settled = last
	}
	return max(0, settled.Sub(now)), false
}

// withoutTransitions leaves out the times of transition, which are anew each time that
// a status is made up.
func withoutTransitions(status *syncv1alpha1.EdgeNodeStatus) *syncv1alpha1.EdgeNodeStatus {
	status = status.DeepCopy()
	for i := range status.Conditions {
		status.Conditions[i].LastTransitionTime.Reset()
	}
	return status
}
