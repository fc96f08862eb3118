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
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/keymutex"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/source"
)

const (
	failureBurst    = 10
	failureInterval = 10 * time.Second
	tooManyFailures = "too many failed joins from this address"
)

// JoinHandler serves joinapi.Path to POST. It must be mounted behind TLS. It bounds
// failures by the remote address of the request: failureBurst at once, then one each
// failureInterval. Joins that succeed cost nothing, so a large site behind one address
// is not held up. It may be used concurrently.
type JoinHandler struct {
	endpoint
	tokens   Tokens
	failures *limiter
	turns    keymutex.KeyMutex // by token ID
}

// NewJoinHandler makes a JoinHandler.
func NewJoinHandler(config Config) *JoinHandler {
	return &JoinHandler{
		endpoint: newEndpoint(config, joinRequests),
		tokens:   Tokens{Client: config.Client, Namespace: config.Namespace},
		failures: newLimiter(failureInterval, failureBurst),
		turns:    keymutex.NewHashed(maxConcurrent),
	}
}

// ServeHTTP answers a join.
func (h *JoinHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.serve(w, r, func() (*joinapi.Response, string, error) {
		from := source.Of(r.RemoteAddr)
		if h.failures.exhausted(from, h.Now()) {
			return nil, "", refuseForNow(rateLimited, http.StatusTooManyRequests, failureInterval, tooManyFailures)
		}
		response, err := h.handle(w, r)
		if err != nil && refusalOf(err).blamesCaller() {
			h.failures.take(from, h.Now())
		}
		return response, joined, err
	})
}

func (h *JoinHandler) handle(w http.ResponseWriter, r *http.Request) (*joinapi.Response, error) {
	var request joinapi.Request
	if err := h.read(w, r, &request); err != nil {
		return nil, err
	}
	asked, err := parseJoin(&request, r.RemoteAddr)
	if err != nil {
		return nil, refuse(malformed, http.StatusBadRequest, "%v", err)
	}
	return h.work(r.Context(), func(ctx context.Context) (*joinapi.Response, error) {
		response, err := h.join(ctx, asked)
		if err != nil {
			h.tellRefused(err, asked)
		}
		return response, err
	})
}

// joining is a request to join that is well-formed.
type joining struct {
	id, secret string // of the token
	name       string // of the node
	key        crypto.PublicKey
	remote     string
	// made is the uid of the EdgeNode if the join has made it.
	made types.UID
}

func parseJoin(request *joinapi.Request, remote string) (*joining, error) {
	if err := pki.ValidateNodeName(request.Node); err != nil {
		return nil, err
	}
	id, secret, err := joinapi.ParseToken(request.Token)
	if err != nil {
		return nil, err
	}
	key, err := pki.RequestKey([]byte(request.CSR))
	if err != nil {
		return nil, err
	}
	return &joining{id: id, secret: secret, name: request.Node, key: key, remote: remote}, nil
}

// +kubebuilder:rbac:groups="",namespace=system,resources=secrets,verbs=get;update
// +kubebuilder:rbac:groups=sync.edgesync.io,resources=edgenodes,verbs=get;create

// join uses the token up, makes the EdgeNode, and only then signs: whatever fails on the
// way costs a use of the token rather than giving one away.
func (h *JoinHandler) join(ctx context.Context, asked *joining) (*joinapi.Response, error) {
	token, err := h.redeem(ctx, asked)
	if err != nil {
		return nil, err
	}
	cert, node, err := h.issue(ctx, issuance{
		key: asked.key, reason: syncv1alpha1.ReasonJoined, remote: asked.remote,
		admit: func(ctx context.Context) (*syncv1alpha1.EdgeNode, pki.Node, error) {
			node, err := h.ensureNode(ctx, asked, token)
			if err != nil {
				return nil, pki.Node{}, err
			}
			return node, pki.Node{Name: node.Name, UID: string(node.UID), Join: node.Status.Joins + 1}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	h.tell(aboutNode(node.Name, node.UID), corev1.EventTypeNormal, syncv1alpha1.ReasonJoined, actionJoin,
		"Certificate %s, valid until %s, issued for join token %s to %s",
		serialOf(cert), cert.NotAfter.Format(time.RFC3339), asked.id, asked.remote)
	h.Log.Info("Node joined", "node", node.Name, "join", node.Status.Joins, "token", asked.id,
		"remoteAddress", asked.remote, "serial", serialOf(cert), "notAfter", cert.NotAfter)
	return h.responseOf(cert), nil
}

// redeem uses the token up once if it lets the node in.
func (h *JoinHandler) redeem(ctx context.Context, asked *joining) (*Token, error) {
	// Nodes that share a token take turns here, and do not make each other try again.
	h.turns.LockKey(asked.id)
	defer func() { _ = h.turns.UnlockKey(asked.id) }() // never fails
	var token *Token
	err := retryConflicts(ctx, func() error {
		var err error
		token, err = h.tryRedeem(ctx, asked)
		return err
	})
	return token, err
}

// tryRedeem returns a conflict if somebody else changes the token at the same time:
// another replica, or the administrator. A token is refused after one read, whatever is
// wrong with it, so that the time it takes tells the caller no more than the answer.
func (h *JoinHandler) tryRedeem(ctx context.Context, asked *joining) (*Token, error) {
	stored, err := h.tokens.get(ctx, asked.id)
	if apierrors.IsNotFound(err) {
		return nil, h.refuseUnknown(asked.id)
	}
	if err != nil {
		return nil, err
	}
	token, err := tokenFromSecret(stored)
	if err != nil {
		err = refuseToken(tokenInvalid, "the Secret %s/%s is not a valid join token: %v", h.Namespace, stored.Name, err)
	} else {
		err = checkToken(token, asked.secret, asked.name, h.Now())
	}
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		refused.about = aboutSecret(stored)
		return nil, refused
	}
	node, err := h.node(ctx, asked.name)
	if err != nil {
		return nil, err
	}
	if err := checkNode(node, token, false); err != nil {
		return nil, err
	}
	err = h.tokens.take(ctx, stored, token, asked.name)
	if apierrors.IsNotFound(err) {
		return nil, h.refuseUnknown(asked.id)
	}
	return token, err
}

func (h *JoinHandler) refuseUnknown(id string) error {
	refused := refuseToken(tokenUnknown, "there is no join token %s: it was revoked, or has never been", id)
	refused.about = aboutNamespace(h.Namespace)
	return refused
}

// ensureNode makes the EdgeNode unless it exists. One that has come into being, or has
// changed, since redeem looked is judged again.
func (h *JoinHandler) ensureNode(ctx context.Context, asked *joining, token *Token) (*syncv1alpha1.EdgeNode, error) {
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: asked.name, Labels: token.Labels}}
	err := h.Client.Create(ctx, node)
	if err == nil {
		asked.made = node.UID
		return node, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create EdgeNode %s: %w", asked.name, err)
	}
	if node, err = h.node(ctx, asked.name); err != nil {
		return nil, err
	}
	if node == nil {
		return nil, fmt.Errorf("the EdgeNode %s was deleted while the node joined", asked.name)
	}
	return node, checkNode(node, token, node.UID == asked.made)
}

// tellRefused tells the administrator what the caller is not told.
func (h *JoinHandler) tellRefused(err error, asked *joining) {
	refused := refusalOf(err)
	reason, ok := eventReasons[refused.result]
	if !ok {
		return
	}
	h.Log.Info("Join refused", "reason", reason, "detail", refused.detail,
		"node", asked.name, "token", asked.id, "remoteAddress", asked.remote)
	h.tell(refused.about, corev1.EventTypeWarning, reason, actionJoin,
		"Join as %s from %s refused: %s", asked.name, asked.remote, refused.detail)
}
