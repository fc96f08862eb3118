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

package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

// deadline bounds every wait for a state that must come.
const deadline = time.Minute

// process is a replica that runs.
type process struct {
	*Group
	leases *fallibleLeases
	// stop ends it as SIGTERM does.
	stop func()

	mu      sync.Mutex
	changes []string
}

// fallibleLeases fail to be written once they are to.
type fallibleLeases struct {
	coordinationv1client.LeaseInterface
	failing atomic.Bool
}

func (l *fallibleLeases) Update(ctx context.Context, lease *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if l.failing.Load() {
		return nil, errors.New("the process hangs")
	}
	return l.LeaseInterface.Update(ctx, lease, o)
}

func start(t *testing.T, leases coordinationv1client.LeaseInterface, name string) *process {
	t.Helper()
	g := NewWithT(t)
	p := &process{leases: &fallibleLeases{LeaseInterface: leases}}
	var err error
	p.Group, err = New(Options{Leases: p.leases, Name: name, Address: name + ":10446", Log: testr.New(t), renewInterval: 50 * time.Millisecond})
	g.Expect(err).NotTo(HaveOccurred())
	p.OnChange(func(name string, alive bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changes = append(p.changes, fmt.Sprint(name, " ", alive))
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Start(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		NewWithT(t).Expect(<-ended).To(Succeed())
	})
	t.Cleanup(p.stop)
	g.Eventually(p.Synced()).WithTimeout(deadline).Should(BeClosed())
	return p
}

func (p *process) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.changes)
}

func (p *process) seesAlive(name string) func() bool { return func() bool { return p.Alive(name) } }

func TestReplicasSeeEachOther(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	leases := newLeases(t)
	_, err := leases.List(t.Context(), metav1.ListOptions{}) // the connection stays
	g.Expect(err).NotTo(HaveOccurred())
	leaks := goleak.IgnoreCurrent()

	a, b, c := start(t, leases, "a"), start(t, leases, "b"), start(t, leases, "c")
	for _, p := range []*process{a, b, c} {
		for _, name := range []string{"a", "b", "c"} {
			g.Eventually(p.seesAlive(name)).Should(BeTrue(), "%s sees %s", p.options.Name, name)
		}
	}
	g.Expect(a.Alive("d")).To(BeFalse())
	address, ok := a.Address("b")
	g.Expect(ok).To(BeTrue())
	g.Expect(address).To(Equal("b:10446"))

	t.Log("one hangs, and comes to itself")
	b.leases.failing.Store(true)
	g.Eventually(a.seesAlive("b")).Should(BeFalse())
	_, ok = a.Address("b")
	g.Expect(ok).To(BeFalse())
	g.Expect(a.Alive("c")).To(BeTrue())
	b.leases.failing.Store(false)
	g.Eventually(a.seesAlive("b")).Should(BeTrue())

	t.Log("one is started again while its Lease is there")
	b.leases.failing.Store(true)
	b2 := start(t, leases, "b")
	g.Eventually(b2.seesAlive("a")).Should(BeTrue())
	b.stop() // which leaves the Lease to the process that has it now
	g.Eventually(a.seesAlive("b")).Should(BeTrue())

	t.Log("one shuts down")
	c.stop()
	g.Eventually(a.seesAlive("c")).Should(BeFalse())
	g.Expect(a.told()).To(ContainElement("c false"))
	a.stop()
	b2.stop()
	g.Expect(leases.List(t.Context(), metav1.ListOptions{})).To(HaveField("Items", BeEmpty()))
	g.Eventually(func() error { return goleak.Find(leaks) }).Should(Succeed())
}

// newLeases are those of an API server that ends with the test.
func newLeases(t *testing.T) coordinationv1client.LeaseInterface {
	t.Helper()
	g := NewWithT(t)
	assets, err := controlplane.Assets()
	g.Expect(err).NotTo(HaveOccurred())
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: time.Minute,
	}
	config, err := env.Start()
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { NewWithT(t).Expect(env.Stop()).To(Succeed()) })
	config.QPS = -1
	leases, err := coordinationv1client.NewForConfig(config)
	g.Expect(err).NotTo(HaveOccurred())
	return leases.Leases(metav1.NamespaceDefault)
}
