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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{})
	good := joinapi.Request{}
	g.Expect(json.Unmarshal(joinBody(t, token, "edge-1"), &good)).To(Succeed())
	with := func(change func(*joinapi.Request)) []byte {
		request := good
		change(&request)
		body, err := json.Marshal(request)
		g.Expect(err).NotTo(HaveOccurred())
		return body
	}
	tests := map[string]struct {
		body   []byte
		status int
		text   string
	}{
		"nothing":    {nil, http.StatusBadRequest, "not a request in JSON"},
		"not JSON":   {[]byte("hello"), http.StatusBadRequest, "not a request in JSON"},
		"other JSON": {[]byte(`{"token": 1}`), http.StatusBadRequest, "not a request in JSON"},
		"node name":  {with(func(r *joinapi.Request) { r.Node = "../edge-1" }), http.StatusBadRequest, "not a node name"},
		"token":      {with(func(r *joinapi.Request) { r.Token = "x" }), http.StatusBadRequest, "form <id>.<secret>"},
		"CSR":        {with(func(r *joinapi.Request) { r.CSR = "x" }), http.StatusBadRequest, "no PEM block"},
		"too large":  {with(func(r *joinapi.Request) { r.CSR = strings.Repeat("x", joinapi.MaxRequestBytes) }), http.StatusRequestEntityTooLarge, "larger than 65536"},
	}
	for name, test := range tests {
		status, body := h.post(test.body, name+":1")
		h.advance(failureInterval)
		g.Expect(status).To(Equal(test.status), name)
		g.Expect(body).To(ContainSubstring(test.text), name)
	}
	g.Expect(h.tokens.List(t.Context())).To(HaveLen(1), "the token was not touched")
}

func TestFailuresAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{Uses: 2 * failureBurst})
	for i := range failureBurst + 2 {
		status, _ := h.join(token, fmt.Sprintf("edge-%d", i))
		g.Expect(status).To(Equal(http.StatusOK), "success costs nothing")
	}
	for range failureBurst {
		status, _ := h.join("abcd1234."+strings.Repeat("a", 52), "edge-x")
		g.Expect(status).To(Equal(http.StatusUnauthorized))
	}

	status, _ := h.join(token, "edge-y")
	g.Expect(status).To(Equal(http.StatusTooManyRequests))
	status, _ = h.post(joinBody(t, token, "edge-y"), "192.0.2.2:1")
	g.Expect(status).To(Equal(http.StatusOK), "another address is not concerned")
	h.advance(failureInterval)
	status, _ = h.join(token, "edge-z")
	g.Expect(status).To(Equal(http.StatusOK))
}

func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	token := h.token(Token{})
	for range maxConcurrent {
		h.handler.slots <- struct{}{}
	}
	status, _ := h.join(token, "edge-1")
	g.Expect(status).To(Equal(http.StatusServiceUnavailable))
	<-h.handler.slots
	status, _ = h.join(token, "edge-1")
	g.Expect(status).To(Equal(http.StatusOK))
}

// What goes wrong in the cluster is for the log and does not count against the caller.
func TestTroubleWithTheAPIServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarnessWith(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, ok := obj.(*syncv1alpha1.EdgeNode); ok {
				return errors.New("etcd is on fire")
			}
			return c.Create(ctx, obj, opts...)
		},
	})
	token := h.token(Token{Uses: failureBurst + 2})
	for range failureBurst + 1 {
		status, body := h.join(token, "edge-1")
		g.Expect(status).To(Equal(http.StatusInternalServerError))
		g.Expect(body).NotTo(ContainSubstring("fire"))
	}
	g.Expect(h.logs.String()).To(ContainSubstring("etcd is on fire"))
}

// A caller that sends half a request and then nothing is cut off.
func TestReadDeadlineIsSetAndCleared(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := newHarness(t)
	writer := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	request := httptest.NewRequest(http.MethodPost, joinapi.Path, bytes.NewReader(joinBody(t, h.token(Token{}), "edge-1")))

	h.handler.ServeHTTP(writer, request)

	g.Expect(writer.Code).To(Equal(http.StatusOK))
	g.Expect(writer.deadlines).To(HaveLen(2))
	g.Expect(writer.deadlines[0]).NotTo(BeZero())
	g.Expect(writer.deadlines[1]).To(BeZero(), "joining may take longer than reading")
}

type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (w *deadlineWriter) SetReadDeadline(deadline time.Time) error {
	w.deadlines = append(w.deadlines, deadline)
	return nil
}

func FuzzJoin(f *testing.F) {
	h := newHarness(f)
	token := h.token(Token{Uses: 1 << 30})
	f.Add(joinBody(f, token, "edge-1"))
	f.Add(joinBody(f, token, "../x"))
	f.Add([]byte(`{"token":"abcd1234.` + strings.Repeat("a", 52) + `","node":"edge-1","csr":"-----BEGIN CERTIFICATE REQUEST-----"}`))
	f.Add([]byte(`{"token":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h.advance(failureInterval)
		status, answer := h.post(body, "192.0.2.1:1")
		switch status {
		case http.StatusOK:
			cert, _ := parseResponse(NewWithT(t), answer)
			if _, err := pki.NodeOf(cert); err != nil {
				t.Fatalf("issued %s: %v", cert.Subject, err)
			}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusConflict, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("status %d: %s", status, answer)
		}
	})
}
