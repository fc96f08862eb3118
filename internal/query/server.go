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

// Package query serves the aggregated API query.sync.edgesync.io: what a node should hold and
// what it does, from the memory of the replica that has the node's session. The other
// replicas forward requests to that one.
//
// Callers are the API server, which has authenticated a user and says whom, and the other
// replicas, which say the same of a request that they forward. Both prove themselves with
// a certificate; nobody else is served. Whether the user may is asked of the API server,
// by every replica that the request passes.
package query

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
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/pki"
)

const (
	// requestTimeout bounds a request with its answer, which a forwarded one is part of.
	requestTimeout = 30 * time.Second
	stopTimeout    = 5 * time.Second
	// maxConcurrent bounds the requests that are served at a time: an answer may take
	// megabytes for a moment.
	maxConcurrent = 16
)

// Options are what a Server needs. All are required.
type Options struct {
	// Address is what to listen on, such as :10446.
	Address string
	// Replica is the name of this replica.
	Replica string
	// Certificate is that of this replica (pki.NewReplicaCertificate), for the Service by which the
	// API server reaches it, and Host is the name of that Service in it.
	Certificate *pki.ServingCertificate
	Host        string
	// Authority tells who is a replica.
	Authority *pki.Authority
	// Config reads how the API server proves itself, Reviews ask it what its users may, and
	// Nodes reads EdgeNodes, which should be cached.
	Config  client.Reader
	Reviews authorizationv1client.AuthorizationV1Interface
	Nodes   client.Reader
	// Sessions are those of this replica, and Sources what its nodes should hold and why.
	Sessions Sessions
	Sources  Sources
	// Locate is the host:port at which the query server of another replica is reached; false if it is
	// not known to live.
	Locate func(replica string) (address string, ok bool)
	Log    logr.Logger
}

// Server is the query server of one replica. It is a manager Runnable that runs in every
// replica.
type Server struct {
	options    Options
	apiServer  *frontProxy
	callers    *callers
	authorizer authorizer.Authorizer
	places     chan struct{}
}

// New makes a Server.
func New(options Options) (*Server, error) {
	apiServer := &frontProxy{reader: options.Config, log: options.Log}
	callers, err := newCallers(apiServer, options.Authority)
	if err != nil {
		return nil, fmt.Errorf("authentication of queries: %w", err)
	}
	rights, err := newAuthorizer(options.Reviews)
	if err != nil {
		return nil, fmt.Errorf("authorization of queries: %w", err)
	}
	return &Server{
		options: options, apiServer: apiServer, callers: callers, authorizer: rights, places: make(chan struct{}, maxConcurrent),
	}, nil
}

// NeedLeaderElection is false: every replica answers.
func (*Server) NeedLeaderElection() bool { return false }

// Start serves until ctx is done.
func (s *Server) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("the query API cannot listen on %s (see --query-bind-address): %w", s.options.Address, err)
	}
	return s.serve(ctx, listener)
}

func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.apiServer.run(ctx)
	}()
	defer func() { <-stopped }()
	server := s.server()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(tls.NewListener(listener, server.TLSConfig)) }()
	s.options.Log.Info("Serving queries", "address", listener.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve queries: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = server.Shutdown(grace)
	_ = server.Close()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve queries: %w", err)
	}
	return nil
}

func (s *Server) server() *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(s.handle),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12, // as the API server
			GetCertificate: s.options.Certificate.GetCertificate,
			// Two authorities are trusted, each for something else: see callers. Without a
			// certificate one is told what is missing, and nothing more.
			ClientAuth: tls.RequestClientCert,
			NextProtos: []string{"http/1.1"},
		},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + stopTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10, // users may be in many groups
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(s.options.Log.V(1)), slog.LevelInfo),
	}
}
