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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

const (
	namespace = "edgesync-system"
	remote    = "192.0.2.1:1234"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is both handlers on a fake API server, with all that they tell anybody.
type harness struct {
	t       testing.TB
	ca      *pki.CA
	client  client.WithWatch
	handler *JoinHandler
	renewal *RenewHandler
	tokens  Tokens

	mu      sync.Mutex
	now     time.Time
	logs    strings.Builder
	events  []event
	secrets []string // of the tokens that were made
}

type event struct{ eventType, reason, kind, name, uid, note string }

func newHarness(t testing.TB, objects ...client.Object) *harness {
	return newHarnessWith(t, interceptor.Funcs{}, objects...)
}

func newHarnessWith(t testing.TB, funcs interceptor.Funcs, objects ...client.Object) *harness {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, syncv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := pki.NewCA(now)
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, ca: ca, now: now}
	for _, object := range objects {
		object.SetUID(uuid.NewUUID())
	}
	h.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(withUIDs(funcs)).
		WithStatusSubresource(&syncv1alpha1.EdgeNode{}).
		WithIndex(&corev1.Secret{}, "type", func(o client.Object) []string { return []string{string(o.(*corev1.Secret).Type)} }).
		Build()
	h.tokens = Tokens{Client: h.client, Namespace: namespace}
	config := Config{
		CA: pki.NewAuthority(ca), NodeLifetime: time.Hour, RenewalGrace: 24 * time.Hour,
		Client: h.client, Namespace: namespace,
		Recorder: h, Log: h.logger(), Now: h.clock,
	}
	h.handler, h.renewal = NewJoinHandler(config), NewRenewHandler(config)
	// Metrics of its own, since tests run in parallel.
	h.handler.requests, h.renewal.requests = newRequests("joins", "", joinResults), newRequests("renewals", "", renewResults)
	return h
}

// counting tells each request to the API server.
func counting(tell func(string)) interceptor.Funcs {
	kindOf := func(obj client.Object) string { return reflect.TypeOf(obj).Elem().Name() }
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			tell("get " + kindOf(obj))
			return c.Get(ctx, key, obj, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			tell("create " + kindOf(obj))
			return c.Create(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			tell("update " + kindOf(obj))
			return c.Update(ctx, obj, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			tell("patch " + kindOf(obj) + "/" + sub)
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	}
}

// withUIDs gives what is created a uid, as a real API server does.
func withUIDs(funcs interceptor.Funcs) interceptor.Funcs {
	create := funcs.Create
	funcs.Create = func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		obj.SetUID(uuid.NewUUID())
		if create != nil {
			return create(ctx, c, obj, opts...)
		}
		return c.Create(ctx, obj, opts...)
	}
	return funcs
}

func (h *harness) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		fmt.Fprintln(&h.logs, args)
	}, funcr.Options{Verbosity: 10})
}

func (h *harness) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *harness) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// Eventf implements events.EventRecorder.
func (h *harness) Eventf(regarding, _ runtime.Object, eventType, reason, _, note string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ref := regarding.(*corev1.ObjectReference)
	h.events = append(h.events, event{eventType, reason, ref.Kind, ref.Name, string(ref.UID), fmt.Sprintf(note, args...)})
}

// everythingTold is what can be read in the log and the Events.
func (h *harness) everythingTold() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logs.String() + fmt.Sprint(h.events)
}

// told is the reasons of the events so far.
func (h *harness) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var reasons []string
	for _, e := range h.events {
		reasons = append(reasons, e.reason)
	}
	return reasons
}

// token stores a token that expires in an hour and returns its string.
func (h *harness) token(template Token) string {
	h.t.Helper()
	if template.Uses == 0 {
		template.Uses = 1
	}
	template.Expires = now.Add(time.Hour)
	token, text, err := NewToken(template)
	if err == nil {
		err = h.tokens.Create(h.t.Context(), token)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.secrets = append(h.secrets, text[len(token.ID)+1:])
	return text
}

// join posts a request for the node and returns the status and the body.
func (h *harness) join(token, node string) (int, string) {
	h.t.Helper()
	return h.post(joinBody(h.t, token, node), remote)
}

func (h *harness) post(body []byte, remote string) (int, string) {
	return post(h.handler, body, remote)
}

func post(handler http.Handler, body []byte, remote string) (int, string) {
	request := httptest.NewRequest(http.MethodPost, joinapi.Path, bytes.NewReader(body))
	request.RemoteAddr = remote
	return serveOn(handler, request)
}

func serveOn(handler http.Handler, request *http.Request) (int, string) {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

func joinBody(t testing.TB, token, node string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(joinapi.Request{Token: token, Node: node, CSR: string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
