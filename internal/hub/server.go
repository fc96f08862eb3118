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
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/protocol"
)

const (
	defaultMaxPending = 1024
	// answerTimeout bounds how long a request that is no session may take.
	answerTimeout = 30 * time.Second
)

// Server serves a Hub, and what else agents need, over TLS. It is a manager Runnable
// that runs in every replica.
type Server struct {
	Hub *Hub
	// Join serves joinapi.Path, and Renew joinapi.RenewPath.
	Join, Renew http.Handler
	// Address is what to listen on, such as :10443.
	Address string
	TLS     *tls.Config
	// MaxPending bounds the connections that are not those of sessions and are served;
	// default 1024. Eight times as many wait for that. When there are too many, the oldest of
	// the address (or IPv6 /64) that has most of them is closed.
	MaxPending int
	// Ready is closed when everything that nodes should hold has been computed once:
	// before that a node would be told to delete what is merely not known yet.
	Ready <-chan struct{}
	Log   logr.Logger
}

// NeedLeaderElection is false: every replica serves nodes.
func (*Server) NeedLeaderElection() bool { return false }

// Start serves until ctx is done, and then drains the hub.
func (s *Server) Start(ctx context.Context) error {
	// Sessions have a heartbeat: keepalive probes would only add to the traffic.
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(context.Background(), "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("the hub cannot listen on %s (see --hub-bind-address): %w", s.Address, err)
	}
	defer func() { _ = listener.Close() }()
	return s.serve(ctx, listener)
}

func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.Ready:
	}
	server := s.server()
	failed := make(chan error, 1)
	go func() {
		failed <- server.Serve(tls.NewListener(newListener(listener, cmp.Or(s.MaxPending, defaultMaxPending)), server.TLSConfig))
	}()
	s.Log.Info("Serving nodes", "address", listener.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve nodes: %w", err)
	case <-ctx.Done():
	}
	s.Log.Info("Draining")
	s.Hub.Drain()
	_ = server.Close()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve nodes: %w", err)
	}
	return nil
}

// server serves one HTTP/1.1 request for each connection. Every phase of a connection
// has a time limit, which nothing that comes meanwhile moves.
func (s *Server) server() *http.Server {
	config := s.TLS.Clone()
	// WebSocket upgrades belong to HTTP/1.1.
	config.NextProtos = []string{"http/1.1"}
	server := &http.Server{
		Handler:   s.router(),
		TLSConfig: config,
		// For the TLS handshake, and again for the request with its body.
		ReadTimeout: handshakeTimeout,
		// For the handler and its answer. A WebSocket is exempt.
		WriteTimeout: answerTimeout,
		// For the request line and all headers together; net/http adds 4 KiB.
		MaxHeaderBytes: 4 << 10,
		ConnContext:    withConn,
		ConnState:      account,
		// Handshakes that fail are the peers' business, and anybody can cause them.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.Log.V(1)), slog.LevelInfo),
	}
	server.SetKeepAlivesEnabled(false)
	return server
}

// router passes requests on. It takes paths as they are: whoever sends other ones is
// no agent.
func (s *Server) router() http.Handler {
	routes := map[string]http.Handler{
		"GET " + protocol.SyncPath:  s.Hub,
		"POST " + joinapi.Path:      s.Join,
		"POST " + joinapi.RenewPath: s.Renew,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connOf(r.Context()).accounted.Store(true)
		defer s.countPanic()
		handler, ok := routes[r.Method+" "+r.URL.Path]
		if !ok {
			refused(causeRequest)
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// countPanic makes a panic one of the connection, and of nothing else.
func (s *Server) countPanic() {
	p := recover()
	if p == nil {
		return
	}
	refused(causePanic)
	s.Log.Error(fmt.Errorf("panic: %v", p), "Ends a request that has panicked", "stack", string(debug.Stack()))
	panic(http.ErrAbortHandler) // has net/http close the connection, and say nothing
}
