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
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// rolling is a fixture with one ConfigMap that is rolled out, canaries first, and that all of
// its nodes hold in the content "old".
type rolling struct {
	*fixture
	settings *corev1.ConfigMap
	sync     *syncv1alpha1.ObjectSync
	of       selection
}

func newRolling(ctx SpecContext, maxInProgress int32) *rolling {
	GinkgoHelper()
	f := newFixture(ctx)
	r := &rolling{fixture: f, settings: f.configMap("settings", "old"), of: f.configMaps().named("settings")}
	r.sync = f.sync("settings", r.of)
	bound := intstr.FromInt32(maxInProgress)
	r.sync.Spec.Rollout = &syncv1alpha1.Rollout{
		MaxInProgress: &bound,
		Partition:     &syncv1alpha1.RolloutPartition{Label: "ring", Values: []string{"canary"}},
	}
	return r
}

func canary() fleet.AgentOptions {
	return fleet.AgentOptions{Labels: map[string]string{"ring": "canary"}}
}

// begin has all nodes hold the object.
func (r *rolling) begin(ctx SpecContext) {
	GinkgoHelper()
	create(ctx, r.settings, r.sync)
	becomesSynced(ctx, r.sync, len(r.nodes), 1)
	r.ends(ctx)
}

// ends waits until every node has had its turn.
func (r *rolling) ends(ctx SpecContext) {
	GinkgoHelper()
	Eventually(statusOf).WithContext(ctx).WithArguments(r.sync).Should(HaveField("Rollout", SatisfyAll(
		HaveField("Released", BeEquivalentTo(len(r.nodes))), HaveField("Waiting", BeZero()), HaveField("Paused", BeFalse()))))
}

func (r *rolling) set(ctx SpecContext, value string) {
	GinkgoHelper()
	change(ctx, r.settings, func(c *corev1.ConfigMap) { c.Data["key"] = value })
}

// file is where a node has the object.
func (r *rolling) file(n *node) string {
	return filepath.Join(n.ObjectsDir(), r.namespace, "configmaps", "settings.yaml")
}

// written is when a node has applied what it holds, as exactly as the file system says.
func (r *rolling) written(n *node) time.Time {
	GinkgoHelper()
	info, err := os.Stat(r.file(n))
	Expect(err).NotTo(HaveOccurred())
	return info.ModTime()
}

// block has a node fail to apply the object: a directory is in its place.
func (r *rolling) block(n *node) {
	GinkgoHelper()
	Expect(os.Remove(r.file(n))).To(Succeed())
	Expect(os.MkdirAll(filepath.Join(r.file(n), "in the way"), 0o700)).To(Succeed())
}

func (r *rolling) unblock(n *node) {
	GinkgoHelper()
	Expect(os.RemoveAll(r.file(n))).To(Succeed())
}

// pauses waits until the rollout is paused since a node fails, and so many nodes wait.
func (r *rolling) pauses(ctx SpecContext, failing *node, waiting int) {
	GinkgoHelper()
	has(ctx, r.sync, syncv1alpha1.ConditionStalled, metav1.ConditionTrue, syncv1alpha1.ReasonRolloutPaused, failing.NodeName)
	Eventually(statusOf).WithContext(ctx).WithArguments(r.sync).Should(SatisfyAll(
		HaveField("Rollout", SatisfyAll(HaveField("Paused", BeTrue()), HaveField("Waiting", BeEquivalentTo(waiting)))),
		HaveField("Failed", BeEquivalentTo(1)),
		HaveField("Failures", ConsistOf(SatisfyAll(HaveField("Node", failing.NodeName), HaveField("Reason", syncv1alpha1.FailureApplyFailed))))))
}

var _ = Describe("Rolling a change out", func() {
	It("goes to the canaries first, and to few nodes at once", func(ctx SpecContext) {
		const atOnce = 2
		r := newRolling(ctx, atOnce)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			r.start(ctx, name)
		}
		first := r.start(ctx, "z", canary())
		r.begin(ctx)

		r.set(ctx, "new")
		for _, n := range r.nodes {
			n.becomes(ctx, r.of, "key: new")
		}
		r.ends(ctx)
		becomesSynced(ctx, r.sync, len(r.nodes), 1)
		others := r.nodes[:5]
		for i, n := range others {
			Expect(r.written(first)).To(BeTemporally("<=", r.written(n)), n.NodeName)
			done := 0
			for _, earlier := range others[:i] {
				if !r.written(earlier).After(r.written(n)) {
					done++
				}
			}
			Expect(done).To(BeNumerically(">", i-atOnce), "of those whose turn was before that of %s", n.NodeName)
		}
	})

	It("pauses when a node fails, and goes on when it is told to", func(ctx SpecContext) {
		r := newRolling(ctx, 1)
		failing, second, third := r.start(ctx, "z", canary()), r.start(ctx, "b"), r.start(ctx, "c")
		r.begin(ctx)
		r.block(failing)
		r.set(ctx, "new")
		r.pauses(ctx, failing, 2)
		for _, n := range []*node{second, third} {
			Expect(n.fileOf(r.of)).To(ContainSubstring("key: old"))
		}

		status, err := statusOf(ctx, r.sync)
		Expect(err).NotTo(HaveOccurred())
		command := "kubectl annotate objectsync settings --namespace " + r.namespace + " --overwrite " +
			syncv1alpha1.AnnotationResumeRollout + "=" + status.Rollout.Revision
		Expect(messageOf(status.Conditions, syncv1alpha1.ConditionStalled)).To(ContainSubstring(command))
		_, err = world.Kubectl(ctx, strings.Fields(command)[1:]...)
		Expect(err).NotTo(HaveOccurred())
		for _, n := range []*node{second, third} {
			n.becomes(ctx, r.of, "key: new")
		}
		r.ends(ctx)

		r.unblock(failing)
		failing.becomes(ctx, r.of, "key: new")
		becomesSynced(ctx, r.sync, 3, 1)

		// The next change is not resumed in advance.
		r.block(failing)
		r.set(ctx, "newer")
		r.pauses(ctx, failing, 2)
		Expect(second.fileOf(r.of)).To(ContainSubstring("key: new\n"))
		r.unblock(failing)
		for _, n := range r.nodes {
			n.becomes(ctx, r.of, "key: newer")
		}
		becomesSynced(ctx, r.sync, 3, 1)
	})

	It("is taken back by changing the object back, which those that never had it do not notice", func(ctx SpecContext) {
		r := newRolling(ctx, 1)
		failing, second, third := r.start(ctx, "z", canary()), r.start(ctx, "b"), r.start(ctx, "c")
		r.begin(ctx)
		before := []time.Time{r.written(second), r.written(third)}
		r.block(failing)
		r.set(ctx, "new")
		r.pauses(ctx, failing, 2)

		r.set(ctx, "old")
		r.unblock(failing)
		failing.becomes(ctx, r.of, "key: old")
		becomesSynced(ctx, r.sync, 3, 1)
		r.ends(ctx)
		Expect([]time.Time{r.written(second), r.written(third)}).To(Equal(before))
	})

	It("passes over nodes that are away, and they catch up", func(ctx SpecContext) {
		r := newRolling(ctx, 1)
		away, present := r.start(ctx, "z", canary()), r.start(ctx, "b")
		r.begin(ctx)
		away.stop()
		r.set(ctx, "new")
		present.becomes(ctx, r.of, "key: new")
		r.ends(ctx)
		Expect(away.fileOf(r.of)).To(ContainSubstring("key: old"))

		away.start(ctx)
		away.becomes(ctx, r.of, "key: new")
		becomesSynced(ctx, r.sync, 2, 1)
	})
})
