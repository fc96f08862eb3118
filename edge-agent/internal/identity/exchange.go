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
	"strings"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const exchangeTimeout = 30 * time.Second

// answer is the hub's response, and the CA under which the hub itself was verified.
type answer struct {
	joinapi.Response
	pinnedCA *x509.Certificate
}

// exchange sends the request to the hub, once: the token may be gone after one try.
func exchange(ctx context.Context, hub *url.URL, caHash string, request joinapi.Request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, hub.JoinPath(joinapi.Path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/json")

	var pinnedCA *x509.Certificate
	client := newClient(func(state tls.ConnectionState) error {
		var err error
		pinnedCA, err = pki.VerifyPinned(state.PeerCertificates, caHash, hub.Hostname(), time.Now())
		return err
	})
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
	result := &answer{pinnedCA: pinnedCA}
	if err := json.Unmarshal(text, &result.Response); err != nil {
		return nil, notAHub(hub, err)
	}
	return result, nil
}

// newClient makes a client for one request whose server is verified by verify alone.
func newClient(verify func(tls.ConnectionState) error) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS13,
				// The CA is known by its hash only, so the library cannot verify the
				// chain by itself. VerifyConnection does so for every connection, before
				// anything is sent: pin, chain, usage, validity and host name.
				InsecureSkipVerify: true,
				VerifyConnection:   verify,
			},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// explainTransport says what to do about an exchange that got no answer.
func explainTransport(hub *url.URL, err error) error {
	var pin *pki.PinError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var notTLS tls.RecordHeaderError
	var operation *net.OpError
	switch {
	case errors.As(err, &pin):
		return fmt.Errorf("%s is not the hub that --ca-hash names (take the hash from `manager token create`; "+
			"if it is right, something on the way intercepts the connection): %w", hub.Host, pin)
	case errors.As(err, &hostname):
		return fmt.Errorf("the hub does not go by the name %q (use one of its names, or have this one added to the manager's): %w",
			hub.Hostname(), hostname)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the certificate of the hub is not valid by the clock of this machine, which says %s (is it right?): %w",
			time.Now().Format(time.RFC3339), invalid)
	case errors.As(err, &notTLS) || errors.Is(err, http.ErrSchemeMismatch):
		return notAHub(hub, err)
	case errors.As(err, &operation) && operation.Op == "dial":
		return fmt.Errorf("cannot reach the hub at %s (check the address, and that this machine may connect out to it): %w", hub.Host, operation)
	}
	return fmt.Errorf("no answer from the hub at %s (if the token is refused from now on, it was used up: make a new one): %w", hub.Host, err)
}

// explainStatus says what to do about an answer that is not a certificate.
func explainStatus(hub *url.URL, response *http.Response, text []byte) error {
	var problem joinapi.Error
	if json.Unmarshal(text, &problem) != nil || problem.Error == "" {
		return notAHub(hub, fmt.Errorf("HTTP status %s", response.Status))
	}
	message := strings.TrimSpace(problem.Error)
	switch response.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("the hub refused the token: it is wrong, used up, expired, or meant for another node; make a new one with `manager token create`")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return fmt.Errorf("the hub is busy (%s): try again in %s s", message, response.Header.Get("Retry-After"))
	}
	return fmt.Errorf("the hub refused to let this machine join: %s", message)
}

func notAHub(hub *url.URL, err error) error {
	return fmt.Errorf("what answers at %s is not an edgesync hub (check host and port): %w", hub.Host, err)
}
