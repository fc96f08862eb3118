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

// Package enrolltest serves joins and renewals to tests: the real handlers and TLS on a
// real listener, before a fake API server.
package enrolltest

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
)

const namespace = "edgesync-system"

// Hub lets nodes join and renew their certificates, and does nothing else.
type Hub struct {
	// URL is its address.
	URL string
	// CA is what its certificate comes from.
	CA *pki.CA

	t      testing.TB
	client client.Client
}

// NewHub starts a Hub on 127.0.0.1 that ends with the test.
func NewHub(t testing.TB) *Hub {
	t.Helper()
	s := runtime.NewScheme()
	must(t, scheme.AddToScheme(s))
	must(t, syncv1alpha1.AddToScheme(s))
	h := &Hub{t: t, client: newClient(s)}
	store := &castore.Store{Client: h.client, Namespace: namespace, Now: time.Now}
	loaded, err := store.Load(t.Context())
	must(t, err)
	h.CA = loaded.CA
	authority := pki.NewAuthority(h.CA)
	certificate, err := pki.NewServingCertificate(authority, []string{"127.0.0.1"}, pki.ServerLifetime, time.Now)
	must(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", pki.ServerTLSConfig(certificate))
	must(t, err)
	h.URL = "https://" + listener.Addr().String()

	config := enroll.Config{
		CA: authority, NodeLifetime: pki.NodeLifetime, RenewalGrace: pki.NodeLifetime,
		Client: h.client, Namespace: namespace,
		Recorder: &events.FakeRecorder{}, Log: logr.Discard(), Now: time.Now,
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+joinapi.Path, enroll.NewJoinHandler(config))
	mux.Handle("POST "+joinapi.RenewPath, enroll.NewRenewHandler(config))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // returns ErrServerClosed
	t.Cleanup(func() { _ = server.Close() })
	return h
}

// newClient is a client of an API server that is fake but for the uids that it gives.
func newClient(s *runtime.Scheme) client.Client {
	return fake.NewClientBuilder().WithScheme(s).WithStatusSubresource(&syncv1alpha1.EdgeNode{}).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			obj.SetUID(uuid.NewUUID())
			return c.Create(ctx, obj, opts...)
		},
	}).Build()
}

// Token makes a join token from the template.
func (h *Hub) Token(template enroll.Token) string {
	h.t.Helper()
	token, text, err := enroll.NewToken(template)
	must(h.t, err)
	must(h.t, enroll.Tokens{Client: h.client, Namespace: namespace}.Create(h.t.Context(), token))
	return text
}

// NodeLabels are the labels of an EdgeNode, which must exist.
func (h *Hub) NodeLabels(name string) map[string]string {
	h.t.Helper()
	node := &syncv1alpha1.EdgeNode{}
	must(h.t, h.client.Get(h.t.Context(), client.ObjectKey{Name: name}, node))
	return node.Labels
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
