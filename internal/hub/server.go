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
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/patient"
	"github.com/edgesync/edgesync/internal/protocol"
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
		failed <- server.Serve(tls.NewListener(patient.Listener{Listener: listener}, server.TLSConfig))
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

func (s *Server) server() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET "+protocol.SyncPath, s.Hub)
	mux.Handle("POST "+joinapi.Path, s.Join)
	mux.Handle("POST "+joinapi.RenewPath, s.Renew)
	config := s.TLS.Clone()
	// WebSocket upgrades belong to HTTP/1.1.
	config.NextProtos = []string{"http/1.1"}
	return &http.Server{
		Handler:           mux,
		TLSConfig:         config,
		ReadHeaderTimeout: handshakeTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		// Handshakes that fail are the peers' business, and anybody can cause them.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.Log.V(1)), slog.LevelInfo),
	}
}
