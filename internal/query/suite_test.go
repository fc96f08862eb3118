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

package query

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/hub"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

const (
	deadline  = time.Minute
	namespace = "edgesync-system"
	host      = "edgesync-query.edgesync-system.svc"
)

// cluster is what all tests share: an API server, the Service by which it reaches the
// replica "a", and the directory of its certificates.
var cluster struct {
	plane *controlplane.ControlPlane
	admin client.Client
	pki   string
}

func TestMain(m *testing.M) {
	code, err := runWithCluster(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithCluster(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "edgesync-query-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cluster.pki = filepath.Join(dir, "pki")
	cluster.plane, err = controlplane.Start(context.Background(), controlplane.Config{Dir: dir, UnsafeNoFsync: true})
	if err != nil {
		return 0, err
	}
	defer func() {
		if stopErr := cluster.plane.Stop(); stopErr != nil && err == nil {
			err = stopErr
		}
	}()
	if cluster.admin, err = client.New(cluster.plane.RESTConfig(), client.Options{Scheme: newScheme()}); err != nil {
		return 0, err
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "edgesync-query"},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
		},
	} {
		if err := cluster.admin.Create(context.Background(), object); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	_ = clientgoscheme.AddToScheme(scheme)
	_ = syncv1alpha1.AddToScheme(scheme)
	return scheme
}

// world is two replicas, "a" and "b", of one manager, which serve queries.
type world struct {
	t         *testing.T
	g         *WithT
	authority *pki.Authority
	nodes     client.Client
	a, b      *replica
	mu        sync.Mutex
	addresses map[string]string
}

type replica struct {
	*Server
	address  string
	sessions *sessions
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g := NewWithT(t)
	ca, err := pki.NewCA(time.Now().Add(-2 * time.Hour))
	g.Expect(err).NotTo(HaveOccurred())
	w := &world{
		t: t, g: g, authority: pki.NewAuthority(ca), addresses: map[string]string{},
		nodes: fake.NewClientBuilder().WithScheme(newScheme()).WithStatusSubresource(&syncv1alpha1.EdgeNode{}).Build(),
	}
	w.a, w.b = w.newReplica("a"), w.newReplica("b")
	return w
}

func (w *world) newReplica(name string) *replica {
	w.t.Helper()
	certificate, err := pki.NewReplicaCertificate(w.authority, name, []string{host}, time.Now)
	w.g.Expect(err).NotTo(HaveOccurred())
	reviews, err := authorizationv1client.NewForConfig(cluster.plane.RESTConfig())
	w.g.Expect(err).NotTo(HaveOccurred())
	r := &replica{sessions: &sessions{nodes: map[string][]delivery.Object{}}}
	r.Server, err = New(Options{
		Replica: name, Certificate: certificate, Host: host, Authority: w.authority,
		Config: cluster.admin, Reviews: reviews, Nodes: w.nodes, Sessions: r.sessions, Sources: sources{},
		Locate: w.locate, Log: testr.New(w.t),
	})
	w.g.Expect(err).NotTo(HaveOccurred())
	r.address = w.serve(r.Server)
	w.addresses[name] = r.address
	w.g.Eventually(r.apiServer.current.Load).WithTimeout(deadline).ShouldNot(BeNil())
	return r
}

// serve runs a server until the test ends.
func (w *world) serve(s *Server) (address string) {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener) }()
	w.t.Cleanup(func() {
		cancel()
		w.g.Expect(<-ended).To(Succeed())
	})
	return listener.Addr().String()
}

func (w *world) locate(name string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	address, ok := w.addresses[name]
	return address, ok
}

func (w *world) move(name, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addresses[name] = address
}

// addNode makes an EdgeNode with, as its status says, a session at the replica.
func (w *world) addNode(name, replica string) {
	w.t.Helper()
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if replica != "" {
		node.Status.Session = &syncv1alpha1.EdgeNodeSession{ID: "s", Replica: replica}
	}
	w.g.Expect(w.nodes.Create(w.t.Context(), node)).To(Succeed())
}

// register makes the API server know the API at the replica "a", and waits until it serves it.
func (w *world) register() {
	w.t.Helper()
	_, port, _ := net.SplitHostPort(w.a.address)
	service := newAPIService(port)
	w.g.Expect(cluster.admin.Create(w.t.Context(), service)).To(Succeed())
	w.t.Cleanup(func() {
		w.g.Expect(cluster.admin.Delete(context.Background(), newAPIService(port))).To(Succeed())
	})
	w.g.Expect((&Publisher{Client: cluster.admin, Authority: w.authority, Log: testr.New(w.t)}).publish(w.t.Context())).To(Succeed())
	available := func() (string, error) {
		err := cluster.admin.Get(w.t.Context(), client.ObjectKey{Name: APIService}, service)
		conditions, _, _ := unstructured.NestedSlice(service.Object, "status", "conditions")
		return fmt.Sprint(conditions), err
	}
	w.g.Eventually(available).WithTimeout(deadline).Should(And(ContainSubstring("Available"), ContainSubstring("status:True")))
}

func newAPIService(port string) *unstructured.Unstructured {
	var number int64
	_, _ = fmt.Sscan(port, &number)
	service := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"group": "query.sync.edgesync.io", "version": "v1alpha1", "groupPriorityMinimum": int64(1000), "versionPriority": int64(10),
		"service": map[string]any{"namespace": namespace, "name": "edgesync-query", "port": number},
	}}}
	service.SetGroupVersionKind(apiServiceKind)
	service.SetName(APIService)
	return service
}

// sessions are those of a hub, made up.
type sessions struct {
	mu    sync.Mutex
	nodes map[string][]delivery.Object
}

func (s *sessions) set(node string, objects ...delivery.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[node] = objects
}

func (s *sessions) Inventory(node string, visit func(delivery.Object)) (hub.Inventory, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects, ok := s.nodes[node]
	for _, o := range objects {
		visit(o)
	}
	return hub.Inventory{SessionID: "session-of-" + node, ConnectedTime: time.Unix(1000, 0)}, ok
}

type sources struct{}

func (sources) SourcesOf(_ string, key object.Key) []desired.SourceID {
	return []desired.SourceID{{Namespace: key.Namespace, Name: "z"}, {Name: "fleet"}}
}

// frontProxy is the certificate with which the API server speaks to aggregated APIs.
func apiServerCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(cluster.pki, "front-proxy-client.crt"), filepath.Join(cluster.pki, "front-proxy-client.key"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &pair
}
