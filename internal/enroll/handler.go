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
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const (
	// A caller has readTimeout to send its request and writeTimeout to take the answer;
	// workTimeout bounds all that is between them.
	readTimeout  = 10 * time.Second
	workTimeout  = 20 * time.Second
	writeTimeout = 10 * time.Second

	// maxConcurrent joins, and as many renewals, are worked on at a time; others are
	// told to try again. A request has a place only once it has been read, so that slow
	// callers hold none.
	maxConcurrent = 64
)

// CA is what certificates are issued with; *pki.Authority is one.
type CA interface {
	// IssueNode signs the client certificate of a node.
	IssueNode(node pki.Node, public crypto.PublicKey, lifetime time.Duration, now time.Time) (*x509.Certificate, error)
	// AnchorsPEM are the CA certificates that nodes are to trust.
	AnchorsPEM() []byte
}

// Config is what a JoinHandler and a RenewHandler need. Nothing in it may be zero but
// the RenewalGrace.
type Config struct {
	// CA signs the certificates of nodes, each valid for NodeLifetime.
	CA           CA
	NodeLifetime time.Duration
	// RenewalGrace is how long after its end a certificate can still be renewed.
	RenewalGrace time.Duration
	// Client reads from the API server and not from a cache. It gets and updates
	// Secrets in Namespace, gets and creates EdgeNodes, and patches their status.
	Client    client.Client
	Namespace string
	// Recorder and Log tell the administrator of every certificate, and why one was refused.
	Recorder events.EventRecorder
	Log      logr.Logger
	// Now is the clock.
	Now func() time.Time
}

// endpoint is what joins and renewals have in common. Each request has a connection of
// its own, which is closed with the answer: nothing that is left of a request is read.
type endpoint struct {
	Config
	requests    *prometheus.CounterVec // by result
	slots       chan struct{}
	readTimeout time.Duration
}

func newEndpoint(config Config, requests *prometheus.CounterVec) endpoint {
	return endpoint{Config: config, requests: requests, slots: make(chan struct{}, maxConcurrent), readTimeout: readTimeout}
}

// serve counts a request, once, and answers it with what handle makes of it.
func (e *endpoint) serve(w http.ResponseWriter, r *http.Request, handle func() (*joinapi.Response, string, error)) {
	// Not even what handle leaves unread is waited for any longer.
	err := setDeadline(http.NewResponseController(w).SetReadDeadline, e.readTimeout)
	var response *joinapi.Response
	var result string
	if err == nil {
		response, result, err = handle()
	}
	if err != nil {
		e.refuse(w, r, refusalOf(err))
		return
	}
	e.requests.WithLabelValues(result).Inc()
	e.answer(w, http.StatusOK, response)
}

// read decodes the request into an empty one.
func (e *endpoint) read(w http.ResponseWriter, r *http.Request, request any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, joinapi.MaxRequestBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refuse(tooLarge, http.StatusRequestEntityTooLarge, "the request is larger than %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(timedOut, http.StatusRequestTimeout, "the request was not complete after %s", e.readTimeout)
	case err != nil:
		return refuse(malformed, http.StatusBadRequest, "the request is not complete")
	}
	if err := json.Unmarshal(body, request); err != nil {
		return refuse(malformed, http.StatusBadRequest, "the body is not a request in JSON")
	}
	// The server reads on in the background, to notice a caller that goes away: the
	// deadline passing there would end the request's context.
	return setDeadline(http.NewResponseController(w).SetReadDeadline, 0)
}

// setDeadline sets a deadline that is some time from now, or none.
func setDeadline(set func(time.Time) error, after time.Duration) error {
	var deadline time.Time
	if after > 0 {
		deadline = time.Now().Add(after)
	}
	err := set(deadline)
	if errors.Is(err, http.ErrNotSupported) { // a recorder in a test, never a connection
		return nil
	}
	return err
}

// work does what a request asks for, unless too many others are worked on.
func (e *endpoint) work(ctx context.Context, do func(context.Context) (*joinapi.Response, error)) (*joinapi.Response, error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		return nil, refuseForNow(busy, http.StatusServiceUnavailable, time.Second, "too many requests at once")
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	return do(ctx)
}

func (e *endpoint) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) {
	e.requests.WithLabelValues(refused.result).Inc()
	log := e.Log.WithValues("path", r.URL.Path, "remoteAddress", r.RemoteAddr, "result", refused.result)
	switch {
	case refused.public == publicUnexpectedProblem:
		log.Error(errors.New(refused.detail), "Request failed")
	case eventReasons[refused.result] == "": // the others are logged where they were decided
		log.V(1).Info("Request refused", "detail", refused.detail)
	}
	if refused.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(refused.retryAfter.Seconds())))
	}
	e.answer(w, refused.status, joinapi.Error{Error: refused.public})
}

func (e *endpoint) answer(w http.ResponseWriter, status int, body any) {
	if err := setDeadline(http.NewResponseController(w).SetWriteDeadline, writeTimeout); err != nil {
		return // the caller is gone
	}
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // fails only if the caller is gone
}

// responseOf is the answer that carries the certificate.
func (e *endpoint) responseOf(cert *x509.Certificate) *joinapi.Response {
	return &joinapi.Response{Certificate: string(pki.EncodeCertificate(cert)), CA: string(e.CA.AnchorsPEM())}
}

func serialOf(cert *x509.Certificate) string { return fmt.Sprintf("%x", cert.SerialNumber) }
