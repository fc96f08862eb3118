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
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
)

// counted is how many requests had each result.
func counted(g Gomega, counter *prometheus.CounterVec) map[string]float64 {
	registry := prometheus.NewRegistry()
	g.Expect(registry.Register(counter)).To(Succeed())
	families, err := registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	values := map[string]float64{}
	for _, metric := range families[0].GetMetric() {
		values[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
	}
	return values
}

// more is what has been counted since.
func more(before, after map[string]float64) map[string]float64 {
	difference := map[string]float64{}
	for result, count := range after {
		if count != before[result] {
			difference[result] = count - before[result]
		}
	}
	return difference
}

// trouble makes reads of the API server fail with the error that *err is, if any.
func trouble(err *error) interceptor.Funcs {
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if *err != nil {
				return *err
			}
			return c.Get(ctx, key, obj, opts...)
		},
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// wanted is one request, and the result that it has to have.
type wanted struct {
	result string
	status int
	// request prepares the hub, and makes the request.
	request func(*harness) *http.Request
	// api is what reads of the API server fail with.
	api error
}

func (h *harness) joinRequest(token, node string) *http.Request {
	h.t.Helper()
	return newRequest(joinapi.Path, bytes.NewReader(joinBody(h.t, token, node)))
}

func newRequest(path string, body io.Reader) *http.Request {
	request := httptest.NewRequest(http.MethodPost, path, body)
	request.RemoteAddr = remote
	return request
}

var joins = map[string]wanted{
	"joined": {joined, 200, func(h *harness) *http.Request { return h.joinRequest(h.token(Token{}), "edge-1") }, nil},
	"unknown": {tokenUnknown, 401, func(h *harness) *http.Request {
		return h.joinRequest("abcd1234."+strings.Repeat("a", 52), "edge-1")
	}, nil},
	"revoked": {tokenUnknown, 401, func(h *harness) *http.Request {
		token := h.token(Token{})
		if err := h.tokens.Revoke(h.t.Context(), token[:8]); err != nil {
			h.t.Fatal(err)
		}
		return h.joinRequest(token, "edge-1")
	}, nil},
	"broken Secret": {tokenInvalid, 401, func(h *harness) *http.Request {
		if err := h.client.Create(h.t.Context(), byHand(map[string]string{"expires": "never"})); err != nil {
			h.t.Fatal(err)
		}
		return h.joinRequest("abcd1234."+strings.Repeat("a", 52), "edge-1")
	}, nil},
	"wrong": {tokenWrong, 401, func(h *harness) *http.Request {
		return h.joinRequest(h.token(Token{})[:8]+"."+strings.Repeat("a", 52), "edge-1")
	}, nil},
	"used": {tokenUsed, 401, func(h *harness) *http.Request {
		token := h.token(Token{})
		h.join(token, "edge-2")
		return h.joinRequest(token, "edge-1")
	}, nil},
	"expired": {tokenExpired, 401, func(h *harness) *http.Request {
		token := h.token(Token{})
		h.advance(time.Hour)
		return h.joinRequest(token, "edge-1")
	}, nil},
	"bound elsewhere": {tokenBoundElsewhere, 401, func(h *harness) *http.Request {
		return h.joinRequest(h.token(Token{Node: "edge-2"}), "edge-1")
	}, nil},
	"other prefix": {tokenBoundElsewhere, 401, func(h *harness) *http.Request {
		return h.joinRequest(h.token(Token{NodePrefix: "core-"}), "edge-1")
	}, nil},
	"exists": {nodeExists, 409, func(h *harness) *http.Request {
		h.nodeThatIs(func(*syncv1alpha1.EdgeNode) {})
		return h.joinRequest(h.token(Token{}), "edge-1")
	}, nil},
	"joined before": {nodeExists, 409, func(h *harness) *http.Request {
		h.join(h.token(Token{Node: "edge-1"}), "edge-1")
		return h.joinRequest(h.token(Token{Node: "edge-1"}), "edge-1")
	}, nil},
	"connected before": {nodeExists, 409, func(h *harness) *http.Request {
		h.nodeThatIs(func(*syncv1alpha1.EdgeNode) {})
		h.mustChange(func(n *syncv1alpha1.EdgeNode) { n.Status.AgentVersion = "v0.1.0" })
		return h.joinRequest(h.token(Token{Node: "edge-1"}), "edge-1")
	}, nil},
	"revoked node": {nodeRevoked, 403, func(h *harness) *http.Request {
		h.nodeThatIs(func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
		return h.joinRequest(h.token(Token{Node: "edge-1", Rejoin: true}), "edge-1")
	}, nil},
	"node being deleted": {nodeBeingDeleted, 409, func(h *harness) *http.Request {
		h.nodeThatIs(func(n *syncv1alpha1.EdgeNode) { n.Finalizers = []string{"example.com/wait"} })
		if err := h.client.Delete(h.t.Context(), &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}); err != nil {
			h.t.Fatal(err)
		}
		return h.joinRequest(h.token(Token{Node: "edge-1", Rejoin: true}), "edge-1")
	}, nil},
	"no body":         {malformed, 400, func(*harness) *http.Request { return newRequest(joinapi.Path, nil) }, nil},
	"not JSON":        {malformed, 400, func(*harness) *http.Request { return newRequest(joinapi.Path, strings.NewReader("hello")) }, nil},
	"JSON and more":   {malformed, 400, func(*harness) *http.Request { return newRequest(joinapi.Path, strings.NewReader("{}{}")) }, nil},
	"empty":           {malformed, 400, func(*harness) *http.Request { return newRequest(joinapi.Path, strings.NewReader("{}")) }, nil},
	"half":            {malformed, 400, func(*harness) *http.Request { return newRequest(joinapi.Path, failingReader{io.ErrUnexpectedEOF}) }, nil},
	"not a name":      {malformed, 400, func(h *harness) *http.Request { return h.joinRequest(h.token(Token{}), "../edge-1") }, nil},
	"not a token":     {malformed, 400, func(h *harness) *http.Request { return h.joinRequest("abcd1234", "edge-1") }, nil},
	"too large":       {tooLarge, 413, func(*harness) *http.Request { return newRequest(joinapi.Path, endless{}) }, nil},
	"too slow":        {timedOut, 408, func(*harness) *http.Request { return newRequest(joinapi.Path, failingReader{os.ErrDeadlineExceeded}) }, nil},
	"slow API server": {timedOut, 503, func(h *harness) *http.Request { return h.joinRequest(h.token(Token{}), "edge-1") }, context.DeadlineExceeded},
	"gone":            {canceled, 400, func(h *harness) *http.Request { return h.joinRequest(h.token(Token{}), "edge-1") }, context.Canceled},
	"trouble":         {failed, 500, func(h *harness) *http.Request { return h.joinRequest(h.token(Token{}), "edge-1") }, errors.New("etcd is on fire")},
	"too many at once": {busy, 503, func(h *harness) *http.Request {
		h.occupy(h.handler.slots)
		return h.joinRequest(h.token(Token{}), "edge-1")
	}, nil},
	"too many failures": {rateLimited, 429, func(h *harness) *http.Request {
		for range failureBurst {
			h.join("abcd1234."+strings.Repeat("a", 52), "edge-1")
		}
		return h.joinRequest(h.token(Token{}), "edge-1")
	}, nil},
}

// occupy takes all places that requests are worked on.
func (h *harness) occupy(slots chan struct{}) {
	for range cap(slots) {
		slots <- struct{}{}
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
}

// Whatever becomes of a request, it is counted once, and every result that there is
// has a request here.
func TestEachJoinCountsOnce(t *testing.T) {
	t.Parallel()
	testEachCountsOnce(t, joins, joinResults, func(h *harness) (http.Handler, *prometheus.CounterVec) {
		return h.handler, h.handler.requests
	})
}

func testEachCountsOnce(t *testing.T, tests map[string]wanted, all []string, pick func(*harness) (http.Handler, *prometheus.CounterVec)) {
	var covered []string
	for name, test := range tests {
		covered = append(covered, test.result)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var api error
			h := newHarnessWith(t, trouble(&api))
			handler, counter := pick(h)
			request := test.request(h)
			before := counted(g, counter)
			api = test.api
			answer := httptest.NewRecorder()

			handler.ServeHTTP(answer, request)

			g.Expect(answer.Code).To(Equal(test.status), answer.Body.String())
			g.Expect(more(before, counted(g, counter))).To(Equal(map[string]float64{test.result: 1}))
			g.Expect(answer.Header().Get("Connection")).To(Equal("close"))
			if test.status == http.StatusTooManyRequests || test.status == http.StatusServiceUnavailable {
				g.Expect(answer.Header().Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
			}
		})
	}
	for _, result := range all {
		if !slices.Contains(covered, result) {
			t.Errorf("no request has the result %s", result)
		}
	}
}

// Dashboards and alerts know the results by their names.
func TestMetricsAreThereFromTheStart(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	families, err := metrics.Registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	found := map[string]int{}
	for _, family := range families {
		found[family.GetName()] = len(family.GetMetric())
	}
	g.Expect(found).To(HaveKeyWithValue("edgesync_join_requests_total", len(joinResults)))
	g.Expect(found).To(HaveKeyWithValue("edgesync_renew_requests_total", len(renewResults)))
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	g.Expect(err).NotTo(HaveOccurred())
	for _, problem := range problems {
		g.Expect(problem.Metric).NotTo(Or(HavePrefix("edgesync_join"), HavePrefix("edgesync_renew")), problem.Text)
	}
}

// Nothing that happens on the way tells of the token but its ID.
func TestTokensAreNeverTold(t *testing.T) {
	t.Parallel()
	for name, test := range joins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var api error
			h := newHarnessWith(t, trouble(&api))
			request := test.request(h)
			body, _ := io.ReadAll(io.LimitReader(request.Body, 2*joinapi.MaxRequestBytes))
			request.Body = io.NopCloser(bytes.NewReader(body))
			api = test.api
			answer := httptest.NewRecorder()

			h.handler.ServeHTTP(answer, request)

			for _, secret := range h.secrets {
				g.Expect(h.everythingTold() + answer.Body.String()).NotTo(Or(
					ContainSubstring(secret), ContainSubstring(secret[:16]), ContainSubstring(secret[len(secret)-16:])))
			}
			g.Expect(h.everythingTold()).NotTo(ContainSubstring(strings.Repeat("a", 16)), "not even a wrong one")
		})
	}
}

// Tokens are refused after the same work, whatever is wrong with them: the time it takes
// tells nothing.
func TestEachRefusalOfATokenTakesOneRead(t *testing.T) {
	t.Parallel()
	tried := 0
	for name, test := range joins {
		if test.status != http.StatusUnauthorized {
			continue
		}
		tried++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var calls []string
			count := func(call string) { calls = append(calls, call) }
			h := newHarnessWith(t, counting(count))
			request := test.request(h)
			calls = nil

			h.handler.ServeHTTP(httptest.NewRecorder(), request)

			g.Expect(calls).To(Equal([]string{"get Secret"}))
		})
	}
	NewWithT(t).Expect(tried).To(BeNumerically(">=", 6))
}
