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
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const actionJoin = "Join"

// takeBackoff is for many replicas that redeem one token at the same time.
var takeBackoff = wait.Backoff{Steps: 20, Duration: 10 * time.Millisecond, Factor: 1.2, Jitter: 1}

// +kubebuilder:rbac:groups="",namespace=system,resources=secrets,verbs=get;update;delete
// +kubebuilder:rbac:groups=sync.edgesync.io,resources=edgenodes,verbs=get;create
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// join checks the request, uses the token up, makes the EdgeNode, and only then signs:
// whatever fails on the way costs a use of the token rather than giving one away.
func (h *Handler) join(ctx context.Context, request *joinapi.Request, remote string) (*joinapi.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := pki.ValidateNodeName(request.Node); err != nil {
		return nil, &badRequest{err}
	}
	key, err := pki.RequestKey([]byte(request.CSR))
	if err != nil {
		return nil, &badRequest{err}
	}
	id, secret, err := joinapi.ParseToken(request.Token)
	if err != nil {
		return nil, &badRequest{err}
	}
	token, err := h.redeem(ctx, id, secret, request.Node)
	var node *syncv1alpha1.EdgeNode
	if err == nil {
		node, err = h.ensureNode(ctx, request.Node, token)
	}
	if err != nil {
		h.tellRefused(err, id, request.Node, remote)
		return nil, err
	}
	cert, err := h.CA.IssueNode(pki.Node{Name: node.Name, UID: string(node.UID), Join: node.Status.Joins + 1}, key, h.NodeLifetime, h.Now())
	if err != nil {
		return nil, err
	}
	h.tell(nodeReference(request.Node), corev1.EventTypeNormal, ReasonJoined,
		"Certificate %x, valid until %s, issued for join token %s to %s",
		cert.SerialNumber, cert.NotAfter.Format(time.RFC3339), id, remote)
	h.Log.Info("Node joined", "node", request.Node, "token", id, "remoteAddress", remote,
		"serial", fmt.Sprintf("%x", cert.SerialNumber), "notAfter", cert.NotAfter)
	return &joinapi.Response{
		Certificate: string(pki.EncodeCertificate(cert)),
		CA:          string(h.CA.CertificatePEM()),
	}, nil
}

// redeem uses the token up once if it lets the node in.
func (h *Handler) redeem(ctx context.Context, id, secret, name string) (*Token, error) {
	// Nodes that share a token take turns here, and do not make each other try again.
	h.turns.LockKey(id)
	defer func() { _ = h.turns.UnlockKey(id) }() // never fails
	var token *Token
	err := retry.OnError(takeBackoff, apierrors.IsConflict, func() error {
		var err error
		token, err = h.tryRedeem(ctx, id, secret, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if token.UsesLeft == 1 {
		h.used.Add(id, name)
	}
	return token, nil
}

// tryRedeem returns a conflict if somebody else changes the token at the same time:
// another replica, or the administrator.
func (h *Handler) tryRedeem(ctx context.Context, id, secret, name string) (*Token, error) {
	stored, err := h.tokens.get(ctx, id)
	if apierrors.IsNotFound(err) {
		return nil, h.refuseMissing(id)
	}
	if err != nil {
		return nil, err
	}
	token, err := tokenFromSecret(stored)
	if err != nil {
		return nil, refuseToken(ReasonTokenInvalid, "the Secret %s/%s is not a valid join token: %v", h.Namespace, stored.Name, err)
	}
	if err := checkToken(token, secret, name, h.Now()); err != nil {
		return nil, err
	}
	node, err := h.node(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := checkNode(node, token); err != nil {
		return nil, err
	}
	err = h.tokens.take(ctx, stored, token)
	if apierrors.IsNotFound(err) {
		return nil, h.refuseMissing(id)
	}
	return token, err
}

func (h *Handler) refuseMissing(id string) error {
	if node, ok := h.used.Get(id); ok {
		return refuseToken(ReasonTokenUsed, "join token %s was used up by node %s", id, node)
	}
	return refuseToken(ReasonTokenUnknown, "there is no join token %s: it was used up or revoked, or has never been", id)
}

// node returns nil if there is none of that name.
func (h *Handler) node(ctx context.Context, name string) (*syncv1alpha1.EdgeNode, error) {
	node := &syncv1alpha1.EdgeNode{}
	err := h.Client.Get(ctx, client.ObjectKey{Name: name}, node)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read EdgeNode %s: %w", name, err)
	}
	return node, nil
}

// ensureNode makes the EdgeNode unless it exists. One that has come into being since
// redeem looked is judged again.
func (h *Handler) ensureNode(ctx context.Context, name string, token *Token) (*syncv1alpha1.EdgeNode, error) {
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: token.Labels}}
	err := h.Client.Create(ctx, node)
	if err == nil {
		return node, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create EdgeNode %s: %w", name, err)
	}
	if node, err = h.node(ctx, name); err != nil {
		return nil, err
	}
	if node == nil {
		return nil, fmt.Errorf("the EdgeNode %s was deleted while the node joined", name)
	}
	return node, checkNode(node, token)
}

// tellRefused tells the administrator what the caller is not told.
func (h *Handler) tellRefused(err error, id, name, remote string) {
	var refused *refusal
	if !errors.As(err, &refused) {
		return
	}
	h.Log.Info("Join refused", "reason", refused.reason, "detail", refused.detail,
		"node", name, "token", id, "remoteAddress", remote)
	h.tell(h.regarding(refused.reason, id, name), corev1.EventTypeWarning, refused.reason,
		"Join as %s from %s refused: %s", name, remote, refused.detail)
}

func (h *Handler) tell(regarding runtime.Object, eventType, reason, note string, args ...any) {
	h.Recorder.Eventf(regarding, nil, eventType, reason, actionJoin, note, args...)
}

// regarding is the object that an administrator would describe to find the refusal.
// A token that does not exist is reported on the namespace, so that made-up IDs fold
// into one series of events.
func (h *Handler) regarding(reason, id, name string) runtime.Object {
	switch reason {
	case ReasonNodeExists, ReasonNodeRevoked, ReasonNodeBeingDeleted:
		return nodeReference(name)
	case ReasonTokenUnknown, ReasonTokenUsed:
		return &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Namespace: h.Namespace, Name: h.Namespace}
	}
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: h.Namespace, Name: secretName(id)}
}

func nodeReference(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: syncv1alpha1.GroupVersion.String(), Kind: "EdgeNode", Name: name}
}
