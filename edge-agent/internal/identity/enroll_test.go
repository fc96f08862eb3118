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

package identity_test

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
)

const namespace = "edgesync-system"

// hub is the manager's side of a join: its real handler and TLS on a real listener.
type hub struct {
	t      *testing.T
	url    string
	ca     *pki.CA
	client client.Client
}

func newHub(t *testing.T) *hub {
	t.Helper()
	g := NewWithT(t)
	s := runtime.NewScheme()
	g.Expect(scheme.AddToScheme(s)).To(Succeed())
	g.Expect(syncv1alpha1.AddToScheme(s)).To(Succeed())
	c := fake.NewClientBuilder().WithScheme(s).Build()
	ca, err := castore.Ensure(t.Context(), c, namespace, time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	certificate, err := pki.NewServingCertificate(ca, []string{"127.0.0.1"}, pki.ServerLifetime, time.Now)
	g.Expect(err).NotTo(HaveOccurred())
	listener, err := tls.Listen("tcp", "127.0.0.1:0", pki.ServerTLSConfig(ca, certificate))
	g.Expect(err).NotTo(HaveOccurred())

	mux := http.NewServeMux()
	mux.Handle(joinapi.Path, enroll.NewHandler(enroll.Config{
		CA: ca, NodeLifetime: pki.NodeLifetime, Client: c, Namespace: namespace,
		Recorder: &events.FakeRecorder{}, Log: logr.Discard(), Now: time.Now,
	}))
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return &hub{t: t, url: "https://" + listener.Addr().String(), ca: ca, client: c}
}

func (h *hub) token(ttl time.Duration) string {
	h.t.Helper()
	token, text, err := enroll.NewToken(enroll.Token{UsesLeft: 1, Expires: time.Now().Add(ttl), Labels: map[string]string{"region": "eu"}})
	if err == nil {
		err = (enroll.Tokens{Client: h.client, Namespace: namespace}).Create(h.t.Context(), token)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

func (h *hub) options(token, node string) identity.Options {
	return identity.Options{Hub: h.url, Token: token, CAHash: h.ca.Hash(), Node: node, StateDir: filepath.Join(h.t.TempDir(), "state")}
}

func TestJoinAgainstTheRealHandler(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	hub := newHub(t)
	token := hub.token(time.Hour)
	first, second := hub.options(token, "edge-1"), hub.options(token, "edge-2")

	g.Expect(identity.Join(t.Context(), first)).To(Succeed())

	joined, err := identity.Load(first.StateDir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(joined.Node()).To(Equal("edge-1"))
	g.Expect(joined.NotAfter()).To(BeTemporally("~", time.Now().Add(pki.NodeLifetime), time.Minute))
	node := &syncv1alpha1.EdgeNode{}
	g.Expect(hub.client.Get(t.Context(), client.ObjectKey{Name: "edge-1"}, node)).To(Succeed())
	g.Expect(node.Labels).To(HaveKeyWithValue("region", "eu"))

	g.Expect(identity.Join(t.Context(), second)).To(MatchError(ContainSubstring("the hub refused the token")))
	third := hub.options(hub.token(time.Hour), "edge-1")
	g.Expect(identity.Join(t.Context(), third)).To(MatchError(ContainSubstring("EdgeNode edge-1 exists already")))
	g.Expect(identity.Join(t.Context(), hub.options(hub.token(-time.Second), "edge-4"))).To(MatchError(ContainSubstring("manager token create")))
}
