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
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/admission"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const (
	renewalBurst    = 5
	renewalInterval = time.Minute
	tooManyRenewals = "too many renewals of this node"
)

// RenewHandler serves joinapi.RenewPath to POST. It must be mounted behind a
// configuration of pki.ServerTLSConfig: whose certificate is renewed is what the client
// certificate says, and TLS has had the caller prove that it holds its key.
//
// It bounds requests, good and bad, by node: renewalBurst at once, then one each
// renewalInterval, so that whoever has stolen a key can neither flood the EdgeNode nor
// keep others behind the same address from renewing. It may be used concurrently.
type RenewHandler struct {
	endpoint
	renewals *limiter // by pki.Node: a machine whose place was taken does not count
}

// NewRenewHandler makes a RenewHandler.
func NewRenewHandler(config Config) *RenewHandler {
	return &RenewHandler{
		endpoint: newEndpoint(config, renewRequests),
		renewals: newLimiter(renewalInterval, renewalBurst),
	}
}

// ServeHTTP answers a renewal.
func (h *RenewHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.serve(w, r, func() (*joinapi.Response, string, error) {
		peer, err := pki.PeerOf(r.TLS)
		if err != nil {
			return nil, "", refuse(noCertificate, http.StatusUnauthorized, "%v", err)
		}
		reason, result := syncv1alpha1.ReasonRenewed, renewed
		if peer.Expired(h.Now()) {
			reason, result = syncv1alpha1.ReasonRenewedAfterExpiry, renewedAfterExpiry
		}
		response, err := h.handle(w, r, peer, reason)
		return response, result, err
	})
}

func (h *RenewHandler) handle(w http.ResponseWriter, r *http.Request, peer pki.Peer, reason string) (*joinapi.Response, error) {
	if !h.renewals.take(peer.Node, h.Now()) {
		return nil, refuseForNow(rateLimited, http.StatusTooManyRequests, renewalInterval, tooManyRenewals)
	}
	var request joinapi.RenewRequest
	if err := h.read(w, r, &request); err != nil {
		return nil, err
	}
	key, err := pki.RequestKey([]byte(request.CSR))
	if err != nil {
		return nil, refuse(malformed, http.StatusBadRequest, "%v", err)
	}
	return h.work(r.Context(), func(ctx context.Context) (*joinapi.Response, error) {
		response, err := h.renew(ctx, peer, issuance{key: key, reason: reason, remote: r.RemoteAddr})
		if err != nil {
			h.tellRefused(err, peer, r.RemoteAddr)
		}
		return response, err
	})
}

// renew issues the next certificate to whom the present one was issued. Both are good
// until the present one ends, so a node that crashes on the way has one that works.
func (h *RenewHandler) renew(ctx context.Context, peer pki.Peer, asked issuance) (*joinapi.Response, error) {
	asked.admit = func(ctx context.Context) (*syncv1alpha1.EdgeNode, pki.Node, error) {
		node, err := h.admit(ctx, peer)
		return node, peer.Node, err
	}
	cert, node, err := h.issue(ctx, asked)
	if err != nil {
		return nil, err
	}
	h.tell(aboutNode(node.Name, node.UID), corev1.EventTypeNormal, asked.reason, actionRenew,
		"Certificate %s, valid until %s, issued to %s in place of %s",
		serialOf(cert), cert.NotAfter.Format(time.RFC3339), asked.remote, serialOf(peer.Certificate))
	h.Log.Info("Certificate renewed", "node", node.Name, "reason", asked.reason, "remoteAddress", asked.remote,
		"serial", serialOf(cert), "notAfter", cert.NotAfter, "inPlaceOf", serialOf(peer.Certificate))
	return h.responseOf(cert), nil
}

// admit reads the EdgeNode from the API server, since that is what the certificate is
// recorded in, and decides by what it says.
func (h *RenewHandler) admit(ctx context.Context, peer pki.Peer) (*syncv1alpha1.EdgeNode, error) {
	node, err := h.node(ctx, peer.Name)
	if err != nil {
		return nil, err
	}
	if node == nil {
		return nil, refuse(notAdmitted, http.StatusForbidden, "there is no EdgeNode %s: join the node again", peer.Name)
	}
	err = admission.Check(node, peer.Node)
	if refused := (*admission.Refused)(nil); errors.As(err, &refused) {
		return nil, refuse(notAdmitted, http.StatusForbidden, "%s", refused.Message)
	}
	if err != nil {
		return nil, err
	}
	return node, checkGrace(peer, h.RenewalGrace, h.Now())
}

// checkGrace tells whether the certificate can still be renewed.
func checkGrace(peer pki.Peer, grace time.Duration, now time.Time) error {
	end := peer.Certificate.NotAfter
	if !now.After(end.Add(grace)) {
		return nil
	}
	return refuse(graceOver, http.StatusForbidden,
		"the certificate of %s expired at %s, more than the grace period of %s ago: "+
			"on this machine run `edge-agent join --force` with a token made by `manager token create --node %s --rejoin`",
		peer.Name, end.Format(time.RFC3339), duration.HumanDuration(grace), peer.Name)
}

// tellRefused tells the administrator as well. The Event is about the EdgeNode that the
// certificate was issued to, which may not be the present one.
func (h *RenewHandler) tellRefused(err error, peer pki.Peer, remote string) {
	refused := refusalOf(err)
	reason, ok := eventReasons[refused.result]
	if !ok {
		return
	}
	h.Log.Info("Renewal refused", "reason", reason, "detail", refused.detail,
		"node", peer.Name, "remoteAddress", remote, "serial", serialOf(peer.Certificate))
	h.tell(aboutNode(peer.Name, types.UID(peer.UID)), corev1.EventTypeWarning, reason, actionRenew,
		"Renewal of certificate %s from %s refused: %s", serialOf(peer.Certificate), remote, refused.detail)
}
