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

package link

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
)

func TestEndingOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err     error
		cause   cause
		message string
	}{
		"a broken connection": {io.ErrUnexpectedEOF, lost, "unexpected EOF"},
		"shutdown":            {fmt.Errorf("write: %w", errStopped), stopped, "shutting down"},
		"superseded": {&websocket.CloseError{Code: protocol.CloseSuperseded, Text: "a newer session"},
			superseded, "another agent connected with this node's identity"},
		"refused": {&websocket.CloseError{Code: protocol.CloseRefused, Text: "node is revoked"},
			refused, "node is revoked"},
		"a protocol error": {&websocket.CloseError{Code: protocol.CloseProtocol, Text: "ack of message 7"},
			lost, "this agent broke the protocol: ack of message 7"},
		"closed while draining": {&websocket.CloseError{Code: protocol.CloseDraining},
			drained, "shutting down"},
		"any other close": {&websocket.CloseError{Code: websocket.CloseInternalServerErr, Text: "oops"},
			lost, "oops"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			end := endingOf(test.err, time.Minute)
			g.Expect(end.cause).To(Equal(test.cause))
			g.Expect(end.err).To(MatchError(ContainSubstring(test.message)))
			g.Expect(end.lasted).To(Equal(time.Minute))
		})
	}
}

func TestEndingCarriesWhatTheHubWants(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	elsewhere, later := &drain{redirect: "https://b:1"}, &refusal{retryAfter: time.Minute}
	g.Expect(endingOf(elsewhere, 0)).To(Equal(ending{cause: drained, err: elsewhere, redirect: "https://b:1"}))
	g.Expect(endingOf(later, 0)).To(Equal(ending{cause: refused, err: later, retryAfter: time.Minute}))
}

func TestRefusalFrom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status     int
		retryAfter string
		body       string
		message    string
		wait       time.Duration
	}{
		"revoked":               {403, "", "the node is revoked\n", "the node is revoked (HTTP 403)", 0},
		"full":                  {503, "30", "full", "full (HTTP 503)", 30 * time.Second},
		"no text":               {404, "", "", "Not Found (HTTP 404)", 0},
		"only the first line":   {403, "", "no\n<html>", "no (HTTP 403)", 0},
		"no terminal sequences": {403, "", "a\x1b[2Jb\x00", "a[2Jb (HTTP 403)", 0},
		"a date":                {503, "Wed, 21 Oct 2015 07:28:00 GMT", "full", "full (HTTP 503)", 0},
		"a huge wish":           {503, "99999999999999999999", "full", "full (HTTP 503)", 0},
		"a negative wish":       {503, "-1", "full", "full (HTTP 503)", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			response := &http.Response{StatusCode: test.status, Header: http.Header{}}
			response.Header.Set("Retry-After", test.retryAfter)
			refusal := refusalFrom(response, []byte(test.body))
			g.Expect(refusal).To(MatchError(HaveSuffix(test.message)))
			g.Expect(refusal.retryAfter).To(Equal(test.wait))
		})
	}
}

func TestOneLineIsBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(len(oneLine(strings.Repeat("é", protocol.MaxMessageBytes)))).To(BeNumerically("<=", protocol.MaxMessageBytes))
	g.Expect(oneLine("a\xffb")).To(Equal("ab"))
}

func TestErrorsAreTheSameFromAnyLocalPort(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(withoutSource(nil)).To(Succeed())
	g.Expect(withoutSource(readTimeout(40001)).Error()).To(Equal(withoutSource(readTimeout(40002)).Error()))
	g.Expect(withoutSource(readTimeout(40001))).To(MatchError(ContainSubstring("192.0.2.1:443")))
}
