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
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/keymutex"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const (
	// readTimeout bounds how long a caller may take to send the request, and
	// joinTimeout all that follows.
	readTimeout = 10 * time.Second
	joinTimeout = 20 * time.Second

	// maxConcurrent joins are worked on at a time; others are told to try again.
	maxConcurrent = 64

	// usedTokens is how many used-up tokens a replica remembers, to tell them from
	// tokens that have never been.
	usedTokens = 1024
)

// Config is what a Handler needs. Nothing in it may be zero.
type Config struct {
	// CA signs the certificates of nodes, each valid for NodeLifetime.
	CA           *pki.CA
	NodeLifetime time.Duration
	// Client reads from the API server and not from a cache. It gets, updates and
	// deletes Secrets in Namespace, and gets and creates EdgeNodes.
	Client    client.Client
	Namespace string
	// Recorder and Log tell the administrator of every join, and why one was refused.
	Recorder events.EventRecorder
	Log      logr.Logger
	// Now is the clock.
	Now func() time.Time
}

// Handler serves joinapi.Path. It must be mounted behind TLS, and counts failures by
// the remote address of the request. It may be used concurrently.
type Handler struct {
	Config
	tokens   Tokens
	failures *failureLimiter
	slots    chan struct{}
	turns    keymutex.KeyMutex // by token ID
	used     *lru.Cache        // token ID to the name of the last node that it let in
}

// NewHandler makes a Handler.
func NewHandler(config Config) *Handler {
	return &Handler{
		Config:   config,
		tokens:   Tokens{Client: config.Client, Namespace: config.Namespace},
		failures: newFailureLimiter(),
		slots:    make(chan struct{}, maxConcurrent),
		turns:    keymutex.NewHashed(maxConcurrent),
		used:     lru.New(usedTokens),
	}
}

// ServeHTTP answers a join.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, "use POST")
		return
	}
	source := sourceOf(r.RemoteAddr)
	if h.failures.blocked(source, h.Now()) {
		tryLater(w, http.StatusTooManyRequests, failureInterval, "too many failed joins from this address")
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		tryLater(w, http.StatusServiceUnavailable, time.Second, "too many joins at once")
		return
	}

	request, err := readRequest(w, r)
	if err == nil {
		var response *joinapi.Response
		if response, err = h.join(r.Context(), request, r.RemoteAddr); err == nil {
			writeJSON(w, http.StatusOK, response)
			return
		}
	}
	h.writeFailure(w, r, err)
}

func (h *Handler) writeFailure(w http.ResponseWriter, r *http.Request, err error) {
	var refused *refusal
	var tooLarge *http.MaxBytesError
	var bad *badRequest
	log := h.Log.WithValues("remoteAddress", r.RemoteAddr)
	switch {
	case errors.As(err, &refused):
		// Logged where it was decided, with the node and the token.
		writeError(w, refused.status, refused.public)
	case errors.As(err, &tooLarge):
		log.Info("Join request refused: too large", "limitBytes", tooLarge.Limit)
		writeError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit))
	case errors.As(err, &bad):
		log.Info("Join request refused: malformed", "problem", bad.Error())
		writeError(w, http.StatusBadRequest, bad.Error())
	default:
		// Not the caller's fault, so it does not count against the caller.
		log.Error(err, "Join failed")
		writeError(w, http.StatusInternalServerError, publicUnexpectedProblem)
		return
	}
	h.failures.failed(sourceOf(r.RemoteAddr), h.Now())
}

// badRequest is a request that cannot be understood; the caller is told why.
type badRequest struct{ error }

func readRequest(w http.ResponseWriter, r *http.Request) (*joinapi.Request, error) {
	if err := setReadDeadline(w, time.Now().Add(readTimeout)); err != nil {
		return nil, err
	}
	request := &joinapi.Request{}
	body := http.MaxBytesReader(w, r.Body, joinapi.MaxRequestBytes)
	if err := json.NewDecoder(body).Decode(request); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, &badRequest{errors.New("the body is not a join request in JSON")}
	}
	// The server reads on in the background, to notice a caller that goes away: the
	// deadline passing there would end the request's context.
	return request, setReadDeadline(w, time.Time{})
}

func setReadDeadline(w http.ResponseWriter, deadline time.Time) error {
	err := http.NewResponseController(w).SetReadDeadline(deadline)
	if errors.Is(err, http.ErrNotSupported) { // a recorder in a test, never a connection
		return nil
	}
	return err
}

func tryLater(w http.ResponseWriter, status int, after time.Duration, message string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
	writeError(w, status, message)
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, joinapi.Error{Error: message})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // fails only if the caller is gone
}
