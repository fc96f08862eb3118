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
	"fmt"
	"net/http"
	"time"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// Reasons of the events and log lines about joins.
const (
	ReasonJoined            = "Joined"
	ReasonTokenUnknown      = "JoinTokenUnknown"
	ReasonTokenInvalid      = "JoinTokenInvalid"
	ReasonTokenWrong        = "JoinTokenWrong"
	ReasonTokenUsed         = "JoinTokenUsed"
	ReasonTokenExpired      = "JoinTokenExpired"
	ReasonTokenBound        = "JoinTokenBoundElsewhere"
	ReasonNodeExists        = "JoinNodeExists"
	ReasonNodeRevoked       = "JoinNodeRevoked"
	ReasonNodeBeingDeleted  = "JoinNodeBeingDeleted"
	publicTokenRefused      = "the join token was refused"
	publicUnexpectedProblem = "the hub could not complete the join; its log says why"
)

// refusal is the error for a join that is not let through. The administrator learns
// the reason and detail, the caller the status and public.
type refusal struct {
	status int
	public string
	reason string
	detail string
}

func (r *refusal) Error() string { return r.reason + ": " + r.detail }

// refuseToken says the same to the caller whatever is wrong with a token, so that
// nothing about tokens can be learned by trying.
func refuseToken(reason, detail string, args ...any) error {
	return &refusal{
		status: http.StatusUnauthorized,
		public: publicTokenRefused,
		reason: reason,
		detail: fmt.Sprintf(detail, args...),
	}
}

// refuseNode is for the bearer of a good token, who may know why.
func refuseNode(status int, reason, detail string, args ...any) error {
	text := fmt.Sprintf(detail, args...)
	return &refusal{status: status, public: text, reason: reason, detail: text}
}

// checkToken tells whether a node of that name may join with this token and secret now.
func checkToken(token *Token, secret, node string, now time.Time) error {
	switch {
	case !token.Matches(secret):
		return refuseToken(ReasonTokenWrong, "the secret does not belong to join token %s", token.ID)
	case !now.Before(token.Expires):
		return refuseToken(ReasonTokenExpired, "join token %s expired at %s", token.ID, token.Expires.Format(time.RFC3339))
	case !token.AllowsName(node):
		return refuseToken(ReasonTokenBound, "join token %s is bound to %s and was used for %q", token.ID, token.binding(), node)
	}
	return nil
}

func (t *Token) binding() string {
	if t.Node != "" {
		return fmt.Sprintf("node %q", t.Node)
	}
	return fmt.Sprintf("names that begin with %q", t.NodePrefix)
}

// checkNode tells whether the bearer of the token may become this node; nil is one
// that does not exist yet. A token that is not bound to the name never gets a node
// that somebody else made or joined, with the labels that it has.
func checkNode(node *syncv1alpha1.EdgeNode, token *Token) error {
	switch {
	case node == nil:
		return nil
	case !node.DeletionTimestamp.IsZero():
		return refuseNode(http.StatusConflict, ReasonNodeBeingDeleted,
			"EdgeNode %s is being deleted: try again when it is gone", node.Name)
	case node.Spec.Revoked:
		return refuseNode(http.StatusForbidden, ReasonNodeRevoked,
			"EdgeNode %s is revoked", node.Name)
	case token.Rejoin:
		return nil
	case token.Node == "":
		return refuseNode(http.StatusConflict, ReasonNodeExists,
			"EdgeNode %s exists already: choose another name, or use a token made with --node %s", node.Name, node.Name)
	case hasConnected(node):
		return refuseNode(http.StatusConflict, ReasonNodeExists,
			"EdgeNode %s has already joined: to let another machine take its place, use a token made with --node %s --rejoin", node.Name, node.Name)
	}
	return nil
}

// hasConnected tells whether some machine has been this node before.
func hasConnected(node *syncv1alpha1.EdgeNode) bool {
	status := node.Status
	return status.Session != nil || status.LastSeenTime != nil || status.AgentVersion != "" || status.BootID != ""
}
