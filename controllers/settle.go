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
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// settling holds changes of a status back that come and go: the counts of a node while
// objects are delivered, and those of a sync while a node loses its connection again and
// again. They are written once they have come to rest, so that an update that thousands
// of nodes take in a moment writes nothing, and a node that flaps only its own status.
type settling struct {
	// last is the status to be written, as it was since restingSince; nil if there is
	// nothing to write, and movingSince tells since when there is.
	last                      any
	restingSince, movingSince time.Time
}

// rest is how long it will be until next may be written, which is another status than
// the one that is written; 0 means now. next must be without the times of transition,
// which are anew each time that a status is made up. An urgent one does not wait.
func (s *settling) rest(now time.Time, next any, urgent bool, timing timing) time.Duration {
	if s.last == nil {
		s.movingSince = now
	}
	if s.last == nil || !equality.Semantic.DeepEqual(s.last, next) {
		s.last, s.restingSince = next, now
	}
	if urgent {
		return 0
	}
	settled := s.restingSince.Add(timing.settle)
	if last := s.movingSince.Add(timing.settleAtMost); last.Before(settled) {
		settled = last
	}
	return max(0, settled.Sub(now))
}

func resetTransitions(conditions []metav1.Condition) {
	for i := range conditions {
		conditions[i].LastTransitionTime.Reset()
	}
}

// resetReasons blanks the conditions that have one of the reasons.
func resetReasons(conditions []metav1.Condition, reasons ...string) {
	for i := range conditions {
		if c := &conditions[i]; slices.Contains(reasons, c.Reason) {
			*c = metav1.Condition{Type: c.Type, ObservedGeneration: c.ObservedGeneration}
		}
	}
}
