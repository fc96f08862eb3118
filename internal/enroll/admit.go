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

// checkToken tells whether a node of that name may join with this token and secret now.
func checkToken(token *Token, secret, node string, now time.Time) error {
	switch {
	case !token.Matches(secret):
		return refuseToken(tokenWrong, "the secret does not belong to join token %s", token.ID)
	case token.State(now) == TokenExpired:
		return refuseToken(tokenExpired, "join token %s expired at %s", token.ID, token.Expires.Format(time.RFC3339))
	case token.State(now) == TokenUsed:
		return refuseToken(tokenUsed, "join token %s was used up by node %s", token.ID, token.LastNode)
	case !token.AllowsName(node):
		return refuseToken(tokenBoundElsewhere, "join token %s is bound to %s and was used for %q", token.ID, token.binding(), node)
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
// that does not exist yet, and made says that this very join has made it. A token that
// is not bound to the name never gets a node that somebody else made or joined, with
// the labels that it has.
func checkNode(node *syncv1alpha1.EdgeNode, token *Token, made bool) error {
	switch {
	case node == nil:
		return nil
	case !node.DeletionTimestamp.IsZero():
		return refuseNode(nodeBeingDeleted, http.StatusConflict, node,
			"EdgeNode %s is being deleted: try again when it is gone", node.Name)
	case node.Spec.Revoked:
		return refuseNode(nodeRevoked, http.StatusForbidden, node,
			"EdgeNode %s is revoked", node.Name)
	case token.Rejoin:
		return nil
	case token.Node == "" && !made:
		return refuseNode(nodeExists, http.StatusConflict, node,
			"EdgeNode %s exists already: choose another name, or use a token made with --node %s", node.Name, node.Name)
	case hasConnected(node):
		return refuseNode(nodeExists, http.StatusConflict, node,
			"EdgeNode %s has already joined: to let another machine take its place, use a token made with --node %s --rejoin", node.Name, node.Name)
	case node.Status.Joins > 0:
		return refuseNode(nodeExists, http.StatusConflict, node,
			"EdgeNode %s has already joined, and never connected: if that certificate was lost, or not issued to you, use a token made with --node %s --rejoin",
			node.Name, node.Name)
	}
	return nil
}

// hasConnected tells whether some machine has been this node before.
func hasConnected(node *syncv1alpha1.EdgeNode) bool {
	status := node.Status
	return status.Session != nil || status.LastSeenTime != nil || status.AgentVersion != "" || status.BootID != ""
}
