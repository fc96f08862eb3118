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

package hostile

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

const (
	// patience bounds every wait for what must come, on a machine however busy.
	patience = 2 * time.Minute
	// enough is how many updates have to reach the honest node during an attack.
	enough = 50
	// defaultGrowth bounds what an attack may add to the memory of the manager, unless
	// the attack says otherwise. The garbage collector lets the heap double.
	defaultGrowth = 64 << 20
	// slack is how many goroutines, and how many files, may come and go by themselves.
	slack = 10
	// syncLabel is the label of objects and nodes that belong together.
	syncLabel = "hostile.edgesync.io/sync"
)

// world is what is attacked, and the honest node beside it.
type world struct {
	fleet   *fleet.Fleet
	client  client.Client
	manager manager
	honest  *honest
	// session is that of the honest node. No attack may end it.
	session string
	quiet   struct {
		memory            int64
		goroutines, files int
	}
	enlisting
}

func newWorld(t *testing.T) *world {
	g := NewWithT(t)
	if _, err := controlplane.Assets(); err != nil {
		t.Skipf("needs a real control plane: %v", err)
	}
	logf.SetLogger(logr.Discard())
	// The path of t.TempDir is too long for the agent's socket.
	dir, err := os.MkdirTemp("", "hostile-")
	g.Expect(err).NotTo(HaveOccurred())
	options := fleet.Options{
		Dir:          dir,
		ManagerArgs:  []string{"--hub-heartbeat=4s"}, // a peer that makes no progress is given up after 10 s
		ControlPlane: controlplane.Config{UnsafeNoFsync: true},
	}
	w := &world{}
	w.fleet, err = fleet.Start(t.Context(), options)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		g.Expect(w.fleet.Stop()).To(Succeed())
		if t.Failed() {
			t.Logf("everything is kept in %s", dir)
			return
		}
		g.Expect(os.RemoveAll(dir)).To(Succeed())
	})
	w.client, err = w.fleet.Client()
	g.Expect(err).NotTo(HaveOccurred())
	w.manager = manager{pid: w.fleet.Manager().PID(), metrics: w.fleet.MetricsURL()}
	w.honest = startHonest(t, w.fleet, w.client)
	w.prepareEnlisting(t)
	makeSync(t, w.client, bulk)
	g.Expect(inParallel(8, bulkObjects, func(i int) error { return w.client.Create(t.Context(), bulkObject(i)) })).To(Succeed())
	w.settle(t)
	return w
}

// settle notes what the manager is like when all is quiet.
func (w *world) settle(t *testing.T) {
	g := NewWithT(t)
	next := w.honest.next() + enough
	g.Expect(w.honest.await(t.Context(), next)).To(BeNumerically(">=", next))
	g.Eventually(func() (string, error) {
		node, err := w.edgeNode(honestName)
		if err == nil && node.Status.Session != nil {
			w.session = node.Status.Session.ID
		}
		return w.session, err
	}).WithTimeout(patience).ShouldNot(BeEmpty())
	metrics, err := w.manager.scrape(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	w.quiet.goroutines = int(metrics["go_goroutines"])
	w.quiet.files, err = w.manager.files()
	g.Expect(err).NotTo(HaveOccurred())
	w.quiet.memory, _, err = w.manager.memory()
	g.Expect(err).NotTo(HaveOccurred())
}

// makeSync makes a namespace whose ConfigMaps with a label belong on the nodes with it.
func makeSync(t *testing.T, c client.Client, name string) {
	g := NewWithT(t)
	selector := metav1.LabelSelector{MatchLabels: map[string]string{syncLabel: name}}
	g.Expect(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	g.Expect(c.Create(t.Context(), &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "all"},
		Spec: syncv1alpha1.SyncSpec{
			ObjectSelector: &syncv1alpha1.ObjectSelector{APIVersion: "v1", Kind: "ConfigMap", LabelSelector: selector},
			NodeSelector:   &selector,
		},
	})).To(Succeed())
}

func (w *world) edgeNode(name string) (*syncv1alpha1.EdgeNode, error) {
	node := &syncv1alpha1.EdgeNode{}
	return node, w.client.Get(context.Background(), client.ObjectKey{Name: name}, node)
}
