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
	"unicode/utf8"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
)

// failureReason is the API's word for the reason of a failure.
func failureReason(reason delivery.Reason) string {
	switch reason {
	case delivery.FailedRejected:
		return syncv1alpha1.FailureRejected
	case delivery.FailedTooLarge:
		return syncv1alpha1.FailureTooLarge
	case delivery.FailedToStore:
		return syncv1alpha1.FailureStoreFailed
	case delivery.FailedToRemove:
		return syncv1alpha1.FailureRemoveFailed
	default:
		return syncv1alpha1.FailureApplyFailed
	}
}

// maxText is what the API accepts of a failure's message and of an Event's note, in bytes.
const maxText = 1024

// truncate shortens text, visibly, to at most maxText bytes.
func truncate(text string) string {
	const ellipsis = "…"
	if len(text) <= maxText {
		return text
	}
	end := maxText - len(ellipsis)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
