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

package link

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/protocol"
)

// ending says how a session, or the attempt at one, came to its end.
type ending struct {
	cause cause
	err   error
	// lasted is how long the session was established; 0 if it never was.
	lasted time.Duration
	// retryAfter is what the hub asked for; 0 if it did not.
	retryAfter time.Duration
	// redirect is where a draining hub sent the agent; empty means one of the known addresses.
	redirect string
	// spread is over how long the agents of a draining hub should come back; 0 if it did
	// not say.
	spread time.Duration
}

type cause int

const (
	// lost: the network, a restart, or whatever else may pass.
	lost cause = iota
	// refused: the hub does not want this node now.
	refused
	// superseded: another agent has opened a session under this node's name.
	superseded
	// drained: the hub is going away and said so.
	drained
	// stopped: this agent is shutting down.
	stopped
	// reconnecting: this agent wants a new session.
	reconnecting
)

// refusal is an HTTP answer other than the switch to WebSocket.
type refusal struct {
	status     int
	message    string
	retryAfter time.Duration
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the hub refuses this node: %s (HTTP %d)", r.message, r.status)
}

// drain ends a session because the hub asked for it.
type drain struct {
	redirect string
	spread   time.Duration
}

func (d *drain) Error() string { return "the hub is shutting down" }

var (
	errStopped   = errors.New("the agent is shutting down")
	errReconnect = errors.New("the agent connects anew")
	// errProtocol is wrapped by errors about what the hub sent.
	errProtocol = errors.New("the hub broke the protocol")
)

// endingOf classifies the error that ended a session or an attempt.
func endingOf(err error, lasted time.Duration) ending {
	end := ending{err: err, lasted: lasted}
	var refusal *refusal
	var drain *drain
	var closed *websocket.CloseError
	switch {
	case errors.Is(err, errStopped):
		end.cause = stopped
	case errors.Is(err, errReconnect):
		end.cause = reconnecting
	case errors.As(err, &refusal):
		end.cause, end.retryAfter = refused, refusal.retryAfter
	case errors.As(err, &drain):
		end.cause, end.redirect, end.spread = drained, drain.redirect, drain.spread
	case errors.As(err, &closed):
		end.cause, end.err = causeOfClose(closed)
	}
	return end
}

func causeOfClose(closed *websocket.CloseError) (cause, error) {
	reason := oneLine(closed.Text)
	switch closed.Code {
	case protocol.CloseSuperseded:
		return superseded, fmt.Errorf("another agent connected with this node's identity: "+
			"if this machine was copied, join the copy under a name of its own (%s)", reason)
	case protocol.CloseRefused:
		return refused, fmt.Errorf("the hub refuses this node: %s", reason)
	case protocol.CloseProtocol:
		return lost, fmt.Errorf("the hub says that this agent broke the protocol: %s", reason)
	case protocol.CloseDraining:
		return drained, fmt.Errorf("the hub is shutting down: %s", reason)
	default:
		return lost, fmt.Errorf("the hub closed the connection: %w", closed)
	}
}

// refusalFrom reads the hub's answer to a handshake that it did not accept.
func refusalFrom(response *http.Response, body []byte) *refusal {
	message := oneLine(string(body))
	if message == "" {
		message = http.StatusText(response.StatusCode)
	}
	return &refusal{
		status:     response.StatusCode,
		message:    message,
		retryAfter: protocol.RetryAfter(response),
	}
}

// oneLine is the first line of text from the network, fit for a log and a terminal.
func oneLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return protocol.Truncate(protocol.Printable(text))
}
