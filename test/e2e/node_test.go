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

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// node is an edge node: an agent with its files, and an EdgeNode.
type node struct{ *fleet.Agent }

func (n *node) start(ctx SpecContext) {
	GinkgoHelper()
	Expect(n.Start(ctx)).To(Succeed())
}

func (n *node) stop() {
	GinkgoHelper()
	Expect(n.Stop()).To(Succeed())
}

// kill ends the agent with SIGKILL.
func (n *node) kill() {
	GinkgoHelper()
	Expect(n.Kill()).To(Succeed())
}

// edgeNode names the EdgeNode.
func (n *node) edgeNode() *syncv1alpha1.EdgeNode {
	return &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: n.NodeName}}
}

// get reads the EdgeNode.
func (n *node) get(ctx context.Context) (*syncv1alpha1.EdgeNode, error) {
	edgeNode := n.edgeNode()
	return edgeNode, admin.Get(ctx, client.ObjectKeyFromObject(edgeNode), edgeNode)
}

// change patches the EdgeNode.
func (n *node) change(ctx SpecContext, mutate func(*syncv1alpha1.EdgeNode)) {
	GinkgoHelper()
	edgeNode, err := n.get(ctx)
	Expect(err).NotTo(HaveOccurred())
	change(ctx, edgeNode, mutate)
}

// becomesInSync waits until the agent says that it is connected, was sent everything
// and has applied it.
func (n *node) becomesInSync(ctx SpecContext) {
	GinkgoHelper()
	Eventually(n.Status).WithContext(ctx).Should(HaveField("InSync", BeTrue()))
}

// relabel sets a label of the EdgeNode.
func (n *node) relabel(ctx SpecContext, key, value string) {
	GinkgoHelper()
	n.change(ctx, func(edgeNode *syncv1alpha1.EdgeNode) { edgeNode.Labels[key] = value })
}
