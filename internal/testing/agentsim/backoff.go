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

package agentsim

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/protocol"
)

// The delays are those of the edge-agent.
const (
	firstDelay      = 500 * time.Millisecond
	steady          = 6
	maxDelay        = time.Minute
	settled         = 10 * time.Second
	supersededDelay = 30 * time.Second
)

// refusal is an answer of the hub that is no session.
type refusal struct {
	error
	retryAfter time.Duration
}

func (r *refusal) Unwrap() error { return r.error }

// backoff decides how long to wait before the next session: a random time below a bound
// that doubles with every sixth failure.
type backoff struct{ failures int }

func (b *backoff) next(err error, lasted time.Duration) time.Duration {
	if lasted >= settled {
		b.failures = 0
	}
	bound := min(firstDelay<<min(b.failures/steady, 10), maxDelay)
	b.failures++
	refused := &refusal{}
	switch {
	case websocket.IsCloseError(err, protocol.CloseSuperseded):
		return supersededDelay + upTo(supersededDelay)
	case errors.Is(err, errDrained), websocket.IsCloseError(err, protocol.CloseDraining):
		return max(upTo(2*firstDelay), upTo(bound))
	case errors.As(err, &refused) && refused.retryAfter > 0:
		return refused.retryAfter + upTo(max(bound, refused.retryAfter/2))
	default:
		return upTo(bound)
	}
}

func upTo(bound time.Duration) time.Duration { return rand.N(bound) }
