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

package enroll

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// Results of requests, as the metrics count them.
const (
	// Of joins.
	joined              = "joined"
	tokenUnknown        = "token_unknown"
	tokenInvalid        = "token_invalid"
	tokenWrong          = "token_wrong"
	tokenUsed           = "token_used"
	tokenExpired        = "token_expired"
	tokenBoundElsewhere = "token_bound_elsewhere"
	nodeExists          = "node_exists"
	nodeRevoked         = "node_revoked"
	nodeBeingDeleted    = "node_being_deleted"

	// Of renewals.
	renewed            = "renewed"
	renewedAfterExpiry = "renewed_after_expiry"
	noCertificate      = "no_certificate"
	graceOver          = "grace_over"
	notAdmitted        = "not_admitted"

	// Of both.
	malformed   = "malformed"
	tooLarge    = "too_large"
	rateLimited = "rate_limited"
	busy        = "busy"
	timedOut    = "timeout"
	canceled    = "canceled" // the caller went away
	failed      = "error"    // the cluster's fault
)

// Reasons of the Events about requests that were refused.
const (
	ReasonTokenUnknown     = "JoinTokenUnknown"
	ReasonTokenInvalid     = "JoinTokenInvalid"
	ReasonTokenWrong       = "JoinTokenWrong"
	ReasonTokenUsed        = "JoinTokenUsed"
	ReasonTokenExpired     = "JoinTokenExpired"
	ReasonTokenBound       = "JoinTokenBoundElsewhere"
	ReasonNodeExists       = "JoinNodeExists"
	ReasonNodeRevoked      = "JoinNodeRevoked"
	ReasonNodeBeingDeleted = "JoinNodeBeingDeleted"
	ReasonRenewalRefused   = "RenewalRefused"
)

// eventReasons tell which results an administrator is told of by an Event. The others
// are counted, and that is all: anybody who reaches the port can cause them.
var eventReasons = map[string]string{
	tokenUnknown:        ReasonTokenUnknown,
	tokenInvalid:        ReasonTokenInvalid,
	tokenWrong:          ReasonTokenWrong,
	tokenUsed:           ReasonTokenUsed,
	tokenExpired:        ReasonTokenExpired,
	tokenBoundElsewhere: ReasonTokenBound,
	nodeExists:          ReasonNodeExists,
	nodeRevoked:         ReasonNodeRevoked,
	nodeBeingDeleted:    ReasonNodeBeingDeleted,
	graceOver:           ReasonRenewalRefused,
	notAdmitted:         ReasonRenewalRefused,
}

const (
	publicTokenRefused      = "the join token was refused"
	publicUnexpectedProblem = "the hub could not complete the request; its log says why"
)

// refusal is the error for a request that gets no certificate. The administrator learns
// the result and detail, the caller the status and public.
type refusal struct {
	result string
	status int
	public string
	detail string
	// retryAfter, if not 0, is when the caller may try again.
	retryAfter time.Duration
	// about is the object that an administrator would describe to find the refusal.
	about *corev1.ObjectReference
}

func (r *refusal) Error() string { return r.result + ": " + r.detail }

// blamesCaller tells whether the refusal counts against the caller.
func (r *refusal) blamesCaller() bool {
	return r.status/100 == 4 && r.status != http.StatusTooManyRequests
}

// refuseToken says the same to the caller whatever is wrong with a token, so that
// nothing about tokens can be learned by trying.
func refuseToken(result, detail string, args ...any) *refusal {
	return &refusal{
		result: result,
		status: http.StatusUnauthorized,
		public: publicTokenRefused,
		detail: fmt.Sprintf(detail, args...),
	}
}

// refuseNode is for the bearer of a good token, who may know why.
func refuseNode(result string, status int, node *syncv1alpha1.EdgeNode, detail string, args ...any) *refusal {
	refused := refuse(result, status, detail, args...)
	refused.about = aboutNode(node.Name, node.UID)
	return refused
}

// refuse tells the caller why.
func refuse(result string, status int, detail string, args ...any) *refusal {
	text := fmt.Sprintf(detail, args...)
	return &refusal{result: result, status: status, public: text, detail: text}
}

// refuseForNow tells the caller to try again.
func refuseForNow(result string, status int, after time.Duration, public string) *refusal {
	refused := refuse(result, status, "%s", public)
	refused.retryAfter = after
	return refused
}

// refusalOf is what the error of a request comes to.
func refusalOf(err error) *refusal {
	refused := &refusal{
		result: failed,
		status: http.StatusInternalServerError,
		public: publicUnexpectedProblem,
		detail: err.Error(),
	}
	switch {
	case errors.As(err, &refused):
	case errors.Is(err, context.DeadlineExceeded):
		refused.result, refused.status, refused.retryAfter = timedOut, http.StatusServiceUnavailable, time.Second
	case errors.Is(err, context.Canceled):
		refused.result, refused.status, refused.public = canceled, http.StatusBadRequest, "the caller went away"
	}
	return refused
}
