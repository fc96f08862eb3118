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

package admission

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

var (
	env    *envtest.Environment
	scheme = runtime.NewScheme()
	admin  client.Client
)

func TestWatch(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	RunSpecs(t, "Admission")
}

var _ = BeforeSuite(func() {
	Expect(syncv1alpha1.AddToScheme(scheme)).To(Succeed())
	assets, err := controlplane.Assets()
	Expect(err).NotTo(HaveOccurred())
	env = &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	_, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	admin, err = client.New(env.Config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// replica is a manager that does not lead, with sessions that are asked about.
type replica struct {
	gate *Gate

	mu sync.Mutex
	// asked counts for each node how often it was asked about.
	asked map[string]int
	// sessions are those whose bearer the gate admits still.
	sessions map[string]pki.Node
}

func newReplica() *replica {
	GinkgoHelper()
	// Another replica leads.
	mgr, err := ctrl.NewManager(env.Config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, Logger: GinkgoLogr,
		Controller:     config.Controller{SkipNameValidation: ptr.To(true)},
		LeaderElection: true, LeaderElectionID: "admission", LeaderElectionNamespace: "no-such-namespace",
	})
	Expect(err).NotTo(HaveOccurred())
	r := &replica{
		gate:  NewGate(mgr.GetClient(), mgr.GetAPIReader()),
		asked: map[string]int{}, sessions: map[string]pki.Node{},
	}
	Expect(Watch(mgr, r.readmit)).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		cancel()
		Expect(<-ended).To(Succeed())
	})
	return r
}

func (r *replica) readmit(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[name]++
	if session, ok := r.sessions[name]; ok && r.gate.Admit(context.Background(), session) != nil {
		delete(r.sessions, name)
	}
}

// open admits the bearer of a certificate.
func (r *replica) open(ctx context.Context, bearer pki.Node) error {
	err := r.gate.Admit(ctx, bearer)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.sessions[bearer.Name] = bearer
	}
	return err
}

func (r *replica) has(name string) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, ok := r.sessions[name]
		return ok
	}
}

func (r *replica) questions(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[name]
}

// newNode makes an EdgeNode that is gone when the spec is over.
func newNode(ctx SpecContext, name string) *syncv1alpha1.EdgeNode {
	GinkgoHelper()
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(admin.Create(ctx, node)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(admin.Delete(ctx, node))).To(Succeed()) })
	return node
}

func bearerOf(node *syncv1alpha1.EdgeNode) pki.Node {
	return pki.Node{Name: node.Name, UID: string(node.UID), Join: node.Status.Joins + 1}
}

func change(ctx SpecContext, node *syncv1alpha1.EdgeNode, mutate func(*syncv1alpha1.EdgeNode)) {
	GinkgoHelper()
	before := node.DeepCopy()
	mutate(node)
	Expect(admin.Patch(ctx, node, client.MergeFrom(before))).To(Succeed())
}

func changeStatus(ctx SpecContext, node *syncv1alpha1.EdgeNode, mutate func(*syncv1alpha1.EdgeNodeStatus)) {
	GinkgoHelper()
	before := node.DeepCopy()
	mutate(&node.Status)
	Expect(admin.Status().Patch(ctx, node, client.MergeFrom(before))).To(Succeed())
}

var _ = Describe("A replica that does not lead", func() {
	It("ends the session of a node that is revoked, and lets it in again", func(ctx SpecContext) {
		r, node := newReplica(), newNode(ctx, "revoked")
		Expect(r.open(ctx, bearerOf(node))).To(Succeed())
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
		Eventually(r.has(node.Name)).Should(BeFalse())
		Expect(r.open(ctx, bearerOf(node))).To(MatchError(ContainSubstring("revoked")))
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = false })
		Eventually(r.open).WithArguments(ctx, bearerOf(node)).Should(Succeed(), "the refusal is believed for a second")
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
		Eventually(r.has(node.Name)).Should(BeFalse())
	})

	It("ends the session of a node that is deleted, for good", func(ctx SpecContext) {
		r, node := newReplica(), newNode(ctx, "deleted")
		former := bearerOf(node)
		Expect(r.open(ctx, former)).To(Succeed())
		Expect(admin.Delete(ctx, node)).To(Succeed())
		node = newNode(ctx, node.Name)
		Eventually(r.has(node.Name)).Should(BeFalse())
		Expect(r.open(ctx, former)).To(MatchError(ContainSubstring("made anew")))
		Expect(r.open(ctx, bearerOf(node))).To(Succeed())
	})

	It("ends the session of a node that is about to be deleted", func(ctx SpecContext) {
		r, node := newReplica(), newNode(ctx, "deleting")
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Finalizers = []string{"example.com/wait"} })
		Expect(r.open(ctx, bearerOf(node))).To(Succeed())
		Expect(admin.Delete(ctx, node)).To(Succeed())
		Eventually(r.has(node.Name)).Should(BeFalse())
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Finalizers = nil })
	})

	It("ends the session of a machine whose place another one has taken", func(ctx SpecContext) {
		r, node := newReplica(), newNode(ctx, "replaced")
		Expect(r.open(ctx, bearerOf(node))).To(Succeed())
		changeStatus(ctx, node, func(s *syncv1alpha1.EdgeNodeStatus) { s.Joins = 1 })
		changeStatus(ctx, node, func(s *syncv1alpha1.EdgeNodeStatus) { s.Joins = 2 })
		Eventually(r.has(node.Name)).Should(BeFalse())
	})

	It("ends the session of a node whose former uid is no longer named", func(ctx SpecContext) {
		r, node := newReplica(), newNode(ctx, "former")
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) {
			n.Annotations = map[string]string{syncv1alpha1.AnnotationFormerUID: "u1"}
		})
		Expect(r.open(ctx, pki.Node{Name: node.Name, UID: "u1", Join: 1})).To(Succeed())
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Annotations = nil })
		Eventually(r.has(node.Name)).Should(BeFalse())
	})

	It("asks nothing when a node comes and goes", func(ctx SpecContext) {
		r, node, last := newReplica(), newNode(ctx, "flapping"), newNode(ctx, "last")
		Expect(r.open(ctx, bearerOf(last))).To(Succeed())
		Eventually(func() int { return r.questions(node.Name) }).Should(Equal(1), "when it is first seen")
		for _, session := range []string{"s1", "s2", "s3"} {
			changeStatus(ctx, node, func(s *syncv1alpha1.EdgeNodeStatus) {
				s.Session = &syncv1alpha1.EdgeNodeSession{ID: session, Replica: "manager-0", ConnectedTime: metav1.Now()}
			})
		}
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Spec.Suspend, n.Labels = true, map[string]string{"region": "eu"} })
		change(ctx, last, func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
		Eventually(r.has(last.Name)).Should(BeFalse()) // its change came after all others
		Expect(r.questions(node.Name)).To(Equal(1))
	})
})
