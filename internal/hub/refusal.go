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

package hub

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/protocol"
)

// Refusal is why a node may not connect now.
type Refusal struct {
	// Status is the HTTP status.
	Status int
	// Message tells the operator of the node what to do. It is one line.
	Message string
	// RetryAfter is when to come back, for a refusal that passes.
	RetryAfter time.Duration

	cause cause
}

func (r *Refusal) Error() string { return r.Message }

// cause is why a connection was refused or ended, as the metric says it.
type cause string

// The causes, in the order in which a connection may meet them.
const (
	// causePending: there were too many pending connections, most of them from its address.
	causePending cause = "pending"
	// causeTimeout: its TLS handshake, its request or its Hello was not complete in time.
	causeTimeout cause = "timeout"
	// causeHandshake: its TLS handshake failed, as with a certificate of another CA.
	causeHandshake cause = "handshake"
	// causeRequest: its HTTP request was malformed, too large, or not for this server.
	causeRequest cause = "request"
	// causeNoCertificate: it asked for a session without the certificate of a node.
	causeNoCertificate cause = "no_certificate"
	// causeExpired: its certificate has expired, possibly during the session.
	causeExpired cause = "expired_certificate"
	// causeDraining: the hub is shutting down.
	causeDraining cause = "draining"
	// causeDuplicate: several machines have taken the session of its node from each other.
	causeDuplicate cause = "duplicate"
	// causeFull: the hub serves as many nodes as it may.
	causeFull cause = "full"
	// causeUndecided: it could not be decided whether to admit its node.
	causeUndecided cause = "undecided"
	// causeAdmission: its node is not admitted, or no longer.
	causeAdmission cause = "admission"
	// causeBehind: its node has seen more of another replica than this one knows.
	causeBehind cause = "behind"
	// causeReplaced: before its Hello had come, its node opened another connection.
	causeReplaced cause = "replaced"
	// causeFrame: it sent a frame that is larger than frames may be.
	causeFrame cause = "frame_too_large"
	// causeProtocol: it broke the protocol otherwise, or speaks another version.
	causeProtocol cause = "protocol"
	// causePanic: the code that served it has panicked.
	causePanic cause = "panic"
)

var causes = []cause{
	causePending, causeTimeout, causeHandshake, causeRequest, causeNoCertificate, causeExpired, causeDraining,
	causeDuplicate, causeFull, causeUndecided, causeAdmission, causeBehind, causeReplaced, causeFrame, causeProtocol, causePanic,
}

// refusalOf is what the node gets to see of an error of the admission.
func refusalOf(err error) *Refusal {
	refusal := &Refusal{
		Status: http.StatusServiceUnavailable, Message: "the hub cannot decide now", RetryAfter: time.Second, cause: causeUndecided,
	}
	errors.As(err, &refusal)
	return refusal
}

// causeOf is the cause of a refusal; one that does not say comes from the admission.
func (r *Refusal) causeOf() cause {
	if r.cause == "" {
		return causeAdmission
	}
	return r.cause
}

// expired is the refusal of a node whose certificate was good until then.
func expired(notAfter time.Time) *Refusal {
	return &Refusal{
		Status:  http.StatusUnauthorized,
		Message: fmt.Sprintf("the certificate expired at %s: the agent renews it", notAfter.UTC().Format(time.RFC3339)),
		cause:   causeExpired,
	}
}

var (
	errEnded    = errors.New("the session has been ended")
	errNoHello  = fmt.Errorf("%w: no Hello came in time", delivery.ErrProtocol)
	errPanicked = errors.New("the hub has failed: its log says how")
)

// farewellOf is how a session that fails with err ends: the code and the reason that
// the node is told, which is only what concerns it, and the cause if that is to be counted.
func farewellOf(err error) (code int, reason string, why cause) {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return protocol.CloseRefused, refusal.Message, refusal.causeOf()
	case errors.Is(err, errPanicked):
		return websocket.CloseInternalServerErr, errPanicked.Error(), causePanic
	case errors.Is(err, errNoHello):
		return protocol.CloseProtocol, err.Error(), causeTimeout
	case errors.Is(err, delivery.ErrProtocol), errors.Is(err, protocol.ErrMalformed):
		return protocol.CloseProtocol, err.Error(), causeProtocol
	case errors.Is(err, websocket.ErrReadLimit):
		return closeNormal, "", causeFrame
	case brokeWebSocket(err):
		return closeNormal, "", causeProtocol
	default:
		return closeNormal, "", ""
	}
}

// brokeWebSocket: the peer has sent what is no WebSocket frame. It has been told by the
// WebSocket library, whose error for that has no type.
func brokeWebSocket(err error) bool {
	var closed *websocket.CloseError
	return err != nil && !errors.As(err, &closed) && strings.HasPrefix(err.Error(), "websocket: ")
}
