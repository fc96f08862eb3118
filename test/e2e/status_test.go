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
	gomegatypes "github.com/onsi/gomega/types"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

var _ = Describe("What kubectl shows", func() {
	It("says at a glance what is where", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		sync := f.sync("all", f.configMaps())
		create(ctx, f.configMap("settings", "1"), sync)
		becomesSynced(ctx, sync, 1, 1)
		n.has(ctx, "Synced", metav1.ConditionTrue, "Synced", "")

		kubectl := func(args ...string) string {
			GinkgoHelper()
			out, err := world.Kubectl(ctx, args...)
			Expect(err).NotTo(HaveOccurred())
			return out
		}
		Expect(kubectl("get", "osync", "--namespace", f.namespace)).To(SatisfyAll(
			MatchRegexp(`^NAME +DESIRED +SYNCED +PENDING +FAILED +OFFLINE +STATUS +AGE\n`),
			MatchRegexp(`\nall +1 +1 +0 +0 +0 +Synced +\d+s\n`)))
		Eventually(func() string { return kubectl("get", "en", n.NodeName) }).WithContext(ctx).Should(SatisfyAll(
			MatchRegexp(`^NAME +CONNECTED +SYNCED +DESIRED +HELD +PENDING +FAILED +VERSION +AGE\n`),
			MatchRegexp(`\n`+n.NodeName+` +True +True +1 +1 +0 +0 +\S+ +\d+s\n`)))
		Eventually(func() string { return kubectl("describe", "objectsync", "all", "--namespace", f.namespace) }).
			WithContext(ctx).Should(MatchRegexp(`Normal +Synced .* Every connected node has stored and applied every object`))
	})
})

// statusOf reads the status of a sync of either kind.
func statusOf(ctx context.Context, sync client.Object) (syncv1alpha1.SyncStatus, error) {
	err := admin.Get(ctx, client.ObjectKeyFromObject(sync), sync)
	if cluster, ok := sync.(*syncv1alpha1.ClusterObjectSync); ok {
		return cluster.Status, err
	}
	return sync.(*syncv1alpha1.ObjectSync).Status, err
}

// becomesSynced waits until status says that so many nodes have so many objects, and
// that all is well.
func becomesSynced(ctx SpecContext, sync client.Object, nodes, objects int) {
	GinkgoHelper()
	Eventually(statusOf).WithContext(ctx).WithArguments(sync).Should(SatisfyAll(
		HaveField("Desired", BeEquivalentTo(nodes)),
		HaveField("Synced", BeEquivalentTo(nodes)),
		HaveField("Objects", BeEquivalentTo(objects)),
		HaveField("Failures", BeEmpty()),
		haveCondition(syncv1alpha1.ConditionSynced, metav1.ConditionTrue, syncv1alpha1.ReasonSynced, ""),
		Not(haveCondition(syncv1alpha1.ConditionStalled, metav1.ConditionTrue, "", "")),
	))
}

// has waits for a condition of a sync whose message contains text.
func has(ctx SpecContext, sync client.Object, kind string, status metav1.ConditionStatus, reason, text string) {
	GinkgoHelper()
	Eventually(statusOf).WithContext(ctx).WithArguments(sync).Should(haveCondition(kind, status, reason, text))
}

// has waits for a condition of the EdgeNode whose message contains text.
func (n *node) has(ctx SpecContext, kind string, status metav1.ConditionStatus, reason, text string) {
	GinkgoHelper()
	Eventually(n.get).WithContext(ctx).Should(HaveField("Status", haveCondition(kind, status, reason, text)))
}

// haveCondition matches a status; an empty reason matches any.
func haveCondition(kind string, status metav1.ConditionStatus, reason, text string) gomegatypes.GomegaMatcher {
	return HaveField("Conditions", ContainElement(SatisfyAll(
		HaveField("Type", kind),
		HaveField("Status", status),
		HaveField("Reason", ContainSubstring(reason)),
		HaveField("Message", ContainSubstring(text)),
	)))
}

// messageOf is the message of a condition; empty if there is none.
func messageOf(conditions []metav1.Condition, kind string) string {
	if condition := apimeta.FindStatusCondition(conditions, kind); condition != nil {
		return condition.Message
	}
	return ""
}
