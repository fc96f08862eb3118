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

package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
)

const exchangeTimeout = 30 * time.Second

// HubError is an answer of the hub that holds no certificate.
type HubError struct {
	// Status is that of HTTP.
	Status int
	// Message is one line of what the hub says.
	Message string
	// RetryAfter is how long the hub asks to be left alone; 0 if it does not.
	RetryAfter time.Duration
}

// Error implements error.
func (e *HubError) Error() string {
	return fmt.Sprintf("the hub refuses: %s (HTTP %d)", e.Message, e.Status)
}

// Refused tells whether it takes somebody to change something at the hub before another
// attempt can succeed.
func (e *HubError) Refused() bool { return e.Status == http.StatusForbidden }

// errNoAnswer: nobody can tell whether the hub has done what it was asked for.
var errNoAnswer = errors.New("no answer")

// answer is the hub's response, and the certificates with which the hub proved itself.
type answer struct {
	joinapi.Response
	chain []*x509.Certificate
}

// exchange sends the request to the hub, once. config has to verify the hub. What the
// hub says instead of a certificate is a *HubError.
func exchange(ctx context.Context, hub *url.URL, path string, config *tls.Config, request any) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, hub.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/json")
	client := newClient(config)
	defer client.CloseIdleConnections()
	response, err := client.Do(post)
	if err != nil {
		return nil, explainTransport(hub, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, joinapi.MaxResponseBytes))
	if err != nil {
		return nil, explainTransport(hub, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, explainStatus(hub, response, text)
	}
	result := &answer{chain: response.TLS.PeerCertificates}
	if err := json.Unmarshal(text, &result.Response); err != nil {
		return nil, notAHub(hub, err)
	}
	return result, nil
}

// newClient makes a client for one request.
func newClient(config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        config,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// explainTransport says what to do about an exchange that got no answer.
func explainTransport(hub *url.URL, err error) error {
	var pin *pki.PinError
	var notTLS tls.RecordHeaderError
	var operation *net.OpError
	explained := pki.ExplainServer(hub.Hostname(), err)
	switch {
	case explained != nil:
		return explained
	case errors.As(err, &pin):
		return fmt.Errorf("%s is not the hub that --ca-hash names (take the hash from `manager token create`; "+
			"if it is right, something on the way intercepts the connection): %w", hub.Host, pin)
	case errors.As(err, &notTLS) || errors.Is(err, http.ErrSchemeMismatch):
		return notAHub(hub, err)
	case errors.As(err, &operation) && operation.Op == "dial":
		return fmt.Errorf("cannot reach the hub at %s (check the address, and that this machine may connect out to it): %w", hub.Host, operation)
	}
	return fmt.Errorf("%w from the hub at %s: %w", errNoAnswer, hub.Host, err)
}

// explainStatus makes an error of an answer that is not a certificate.
func explainStatus(hub *url.URL, response *http.Response, text []byte) error {
	var problem joinapi.Error
	if json.Unmarshal(text, &problem) != nil || problem.Error == "" {
		return notAHub(hub, fmt.Errorf("HTTP status %s", response.Status))
	}
	return &HubError{
		Status:     response.StatusCode,
		Message:    protocol.Truncate(protocol.Printable(problem.Error)),
		RetryAfter: protocol.RetryAfter(response),
	}
}

func notAHub(hub *url.URL, err error) error {
	return fmt.Errorf("what answers at %s is not an edgesync hub (check host and port): %w", hub.Host, err)
}
