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

// Package link is the agent's end of the connection to the hub: it dials, tells what
// the node holds, stores what the hub sends, acknowledges it once it is durable, and
// reports what became of it. docs/protocol.md describes the conversation.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Config is what a Link is made of. All fields but MaxDelay and Labels are required.
// The functions are called by one goroutine at a time.
type Config struct {
	// Hubs returns the addresses of the hub, each https://host:port, the preferred
	// first and never none. It is called before every attempt.
	Hubs func() []string
	// TLS returns the configuration for the next connection: the node's certificate
	// and the CA to which the hub must belong. It is called for every attempt, before
	// HubInfoDigest: an identity that it finds replaced knows something else of the hub.
	TLS func() (*tls.Config, error)
	// Store keeps what the hub sends.
	Store Store
	// Apply is called with the keys of what has just become durable. It must not block
	// for long.
	Apply func(keys ...object.Key)
	// HubInfoDigest returns the protocol.HubInfoDigest of what OnHubInfo has last taken
	// over, also in an earlier run; zero if nothing. What has this digest is not given to
	// OnHubInfo again.
	HubInfoDigest func() object.Digest
	// OnHubInfo takes over where the hub is to be found and whom to trust, as the hub
	// says over the connection described by state. An error is logged and shown, the
	// session goes on, and the same is tried again later. It may call Reconnect.
	OnHubInfo func(info *pb.HubInfo, state tls.ConnectionState) error
	// Labels are what the node says of itself.
	Labels map[string]string

	AgentVersion string
	BootID       string
	// MaxObjectBytes is the largest payload that is accepted.
	MaxObjectBytes int
	// MaxDelay bounds the delay between two attempts; 0 means DefaultMaxDelay.
	MaxDelay time.Duration
	Log      logr.Logger
}

// Store is what the link needs of the agent's *store.Store.
type Store interface {
	Epoch() string
	ClusterEpoch() (string, error)
	SetClusterEpoch(epoch string) error
	View() ([]byte, error)
	SetView(view []byte) error
	SaveView() error
	InventoryDigest() (count int, digest object.Digest, err error)
	ForEach(fn func(store.Entry) error) error
	Get(key object.Key) (entry store.Entry, exists bool, err error)
	Peek(key object.Key) (entry store.Entry, exists bool, err error)
	Commit(ops []store.Op) ([]store.Outcome, error)
}

// Link keeps one session with the hub for as long as it runs.
type Link struct {
	config Config
	route  route
	// attempt makes one session, and dial its connection; tests replace them.
	attempt func(ctx context.Context, hub string) ending
	dial    func(ctx context.Context, hub string, config *tls.Config) (*wire, error)

	counts counts

	mu     sync.Mutex
	status Status
	outbox *outbox
	// interrupt ends the attempt, the session or the waiting that is under way.
	interrupt context.CancelCauseFunc
	// logged is the last failure of each address that was logged: each is logged once.
	logged map[string]string
}

// New makes a Link; Run starts it.
func New(config Config) *Link {
	if config.MaxDelay == 0 {
		config.MaxDelay = DefaultMaxDelay
	}
	l := &Link{
		config:    config,
		route:     route{backoff: backoff{max: config.MaxDelay, random: rand.Float64}},
		status:    Status{Hub: config.Hubs()[0]},
		interrupt: func(error) {},
		logged:    map[string]string{},
	}
	l.attempt = l.connect
	l.dial = func(ctx context.Context, hub string, config *tls.Config) (*wire, error) {
		return dial(ctx, hub, config, l.counts.counted(dialAny))
	}
	return l
}

// Run connects, and connects again whenever the connection is lost, until ctx is
// done. Its only error is that of a damaged store, with which nothing can be done.
func (l *Link) Run(ctx context.Context) error {
	for hub := l.config.Hubs()[0]; ; {
		next, err := l.turn(ctx, hub)
		if err != nil || ctx.Err() != nil {
			return err
		}
		hub = next
	}
}

// turn makes one attempt, and waits until the next one is due. Reconnect cuts both short.
func (l *Link) turn(ctx context.Context, hub string) (next string, err error) {
	turn, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	l.begin(interrupt)
	end := l.attempt(turn, hub)
	if ctx.Err() != nil {
		return "", nil
	}
	if errors.Is(end.err, store.ErrCorrupt) {
		return "", end.err
	}
	if end.cause == lost && turn.Err() != nil {
		end = endingOf(errReconnect, end.lasted)
	}
	next, delay := l.route.next(hub, end, l.config.Hubs())
	l.disconnected(end, hub, next, time.Now().Add(delay))
	select {
	case <-time.After(delay):
	case <-turn.Done():
	}
	return next, nil
}

// Reconnect connects anew with what Config.TLS then returns: at once, also when the
// next attempt would be due much later. A running session ends as at shutdown: what is
// stored is acknowledged, and what has been applied is reported. None of this counts as
// a failure. It does not block, and may be called concurrently; calls that come before
// the agent has begun to connect have the effect of one.
func (l *Link) Reconnect() {
	l.mu.Lock()
	interrupt := l.interrupt
	l.mu.Unlock()
	interrupt(errReconnect)
}

// Report tells the hub what has become of an object, now if there is a session. What
// is reported while there is none need not be kept: the next session begins with the
// state of the store. It does not block and may be called concurrently.
func (l *Link) Report(results ...*pb.ApplyResult) {
	l.mu.Lock()
	out := l.outbox
	l.mu.Unlock()
	if out != nil {
		out.report(results...)
	}
}

// Status returns where the link stands. It may be called concurrently.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// connect makes one attempt and, if it succeeds, one session.
func (l *Link) connect(ctx context.Context, hub string) ending {
	// The outbox comes before the snapshot in Hello, so that no result falls in between.
	out := newOutbox()
	l.setOutbox(out)
	defer l.setOutbox(nil)
	config, err := l.config.TLS()
	if err != nil {
		return endingOf(fmt.Errorf("the node's identity: %w", err), 0)
	}
	hello, err := l.hello()
	if err != nil {
		return endingOf(err, 0)
	}
	l.counts.attempts.Add(1)
	wire, err := l.dial(ctx, hub, config)
	if err != nil {
		return endingOf(err, 0)
	}
	err = newSession(l, hub, wire, out).run(ctx, hello)
	if failure := l.config.Store.SaveView(); failure != nil {
		l.storeFailed(failure)
	}
	return endingOf(err, l.lasted())
}

// begin comes before Config.TLS is asked, so that Reconnect ends every attempt with an
// earlier answer.
func (l *Link) begin(interrupt context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupt = interrupt
}

func (l *Link) setOutbox(out *outbox) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outbox = out
}
