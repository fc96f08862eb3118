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

// Config is what a Link is made of. All fields but MaxDelay are required.
type Config struct {
	// Hub is the configured address, https://host:port.
	Hub string
	// TLS returns the configuration for the next connection: the node's certificate
	// and the CA to which the hub must belong. It is called for every attempt.
	TLS func() (*tls.Config, error)
	// Store keeps what the hub sends.
	Store Store
	// Apply is called by one goroutine with the keys of what has just become
	// durable. It must not block for long.
	Apply func(keys ...object.Key)

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
	InventoryDigest() (count int, digest object.Digest, err error)
	ForEach(fn func(store.Entry) error) error
	Peek(key object.Key) (entry store.Entry, exists bool, err error)
	Commit(ops []store.Op) ([]store.Outcome, error)
}

// Status is where a Link stands.
type Status struct {
	// Hub is the address that is dialled or connected.
	Hub string `json:"hub"`
	// Connected says that the hub has welcomed this node and the session lasts, since Since.
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`
	// Complete says that the hub has sent, in this session, all that the node should
	// hold, and that the store could take it; CompletedAt is when the hub last said so in
	// any session of this process.
	Complete    bool      `json:"complete"`
	CompletedAt time.Time `json:"completedAt,omitzero"`
	// LastError is why there is no session, and NextAttempt when the next one is tried.
	LastError   string    `json:"lastError,omitempty"`
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	// StoreError is why the store could not take something that the hub sent, until the
	// hub has sent it again and everything is stored.
	StoreError string `json:"storeError,omitempty"`
}

// Link keeps one session with the hub for as long as it runs.
type Link struct {
	config Config
	wait   backoff
	// attempt makes one session; tests replace it.
	attempt func(ctx context.Context, hub string) ending

	mu     sync.Mutex
	status Status
	outbox *outbox
	// logged is the last failure that was logged: each is logged once.
	logged string
}

// New makes a Link; Run starts it.
func New(config Config) *Link {
	if config.MaxDelay == 0 {
		config.MaxDelay = DefaultMaxDelay
	}
	l := &Link{
		config: config,
		wait:   backoff{max: config.MaxDelay, random: rand.Float64},
		status: Status{Hub: config.Hub},
	}
	l.attempt = l.connect
	return l
}

// Run connects, and connects again whenever the connection is lost, until ctx is
// done. Its only error is that of a damaged store, with which nothing can be done.
func (l *Link) Run(ctx context.Context) error {
	hub := l.config.Hub
	for {
		end := l.attempt(ctx, hub)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(end.err, store.ErrCorrupt):
			return end.err
		}
		delay := l.wait.next(end)
		hub = l.config.Hub
		if end.redirect != "" {
			hub = end.redirect
		}
		l.disconnected(end, hub, time.Now().Add(delay))
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil
		}
	}
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
	hello, err := l.hello()
	if err != nil {
		return endingOf(err, 0)
	}
	config, err := l.config.TLS()
	if err != nil {
		return endingOf(fmt.Errorf("the node's identity: %w", err), 0)
	}
	wire, err := dial(ctx, hub, config)
	if err != nil {
		return endingOf(err, 0)
	}
	err = newSession(l, hub, wire, out).run(ctx, hello)
	return endingOf(err, l.lasted())
}

func (l *Link) setOutbox(out *outbox) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outbox = out
}

func (l *Link) lasted() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.status.Connected {
		return 0
	}
	return time.Since(l.status.Since)
}

func (l *Link) connected(hub, session string) {
	l.mu.Lock()
	l.status = Status{
		Hub: hub, Connected: true, Since: time.Now(),
		CompletedAt: l.status.CompletedAt, StoreError: l.status.StoreError,
	}
	l.logged = ""
	l.mu.Unlock()
	l.config.Log.Info("Connected", "hub", hub, "session", session)
}

// completed takes over that the hub has sent all that the node should hold.
func (l *Link) completed() {
	l.mu.Lock()
	first := !l.status.Complete
	l.status.Complete, l.status.CompletedAt = true, time.Now()
	l.status.StoreError = ""
	l.mu.Unlock()
	if first {
		l.config.Log.Info("Received all that this node should hold")
	}
}

// storeFailed takes over that the store could not take what the hub sent. The next
// Bookmark comes when the hub has sent it again.
func (l *Link) storeFailed(err error) {
	message := oneLine(err.Error())
	l.mu.Lock()
	changed := l.status.StoreError != message
	l.status.StoreError, l.status.Complete = message, false
	l.mu.Unlock()
	if changed {
		l.config.Log.Error(err, "Cannot store what the hub sends; it will send it again")
	}
}

func (l *Link) disconnected(end ending, hub string, next time.Time) {
	reason := oneLine(end.err.Error())
	l.mu.Lock()
	wasConnected, since := l.status.Connected, l.status.Since
	if wasConnected {
		since = time.Now()
	}
	l.status = Status{
		Hub: hub, Since: since, LastError: reason, NextAttempt: next,
		CompletedAt: l.status.CompletedAt, StoreError: l.status.StoreError,
	}
	repeated := l.logged == reason
	l.logged = reason
	l.mu.Unlock()

	log := l.config.Log.WithValues("hub", hub, "nextAttempt", next.Format(time.RFC3339))
	switch {
	case repeated:
		log.V(1).Info("Still not connected", "reason", reason)
	case end.cause == refused || end.cause == superseded:
		log.Error(nil, "Not connected", "reason", reason)
	case wasConnected:
		log.Info("Disconnected", "reason", reason)
	default:
		log.Info("Cannot connect", "reason", reason)
	}
}
