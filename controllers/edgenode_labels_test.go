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

package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func TestWithSelfLabels(t *testing.T) {
	t.Parallel()
	type set = map[string]string
	const prefix = syncv1alpha1.SelfLabelPrefix
	for name, test := range map[string]struct {
		labels, claims, after set
		ignored               []string
	}{
		"nothing at all":             {after: set{}},
		"a claim":                    {claims: set{"region": "eu"}, after: set{prefix + "region": "eu"}},
		"a claim beside a label":     {labels: set{"region": "us"}, claims: set{"region": "eu"}, after: set{"region": "us", prefix + "region": "eu"}},
		"another claim than before":  {labels: set{prefix + "region": "us"}, claims: set{"region": "eu"}, after: set{prefix + "region": "eu"}},
		"no claim any longer":        {labels: set{prefix + "region": "us", "region": "us"}, after: set{"region": "us"}},
		"an empty value":             {claims: set{"gpu": ""}, after: set{prefix + "gpu": ""}},
		"an empty name":              {claims: set{"": "x"}, after: set{}, ignored: []string{""}},
		"a prefix of its own":        {claims: set{"example.com/region": "eu"}, after: set{}, ignored: []string{"example.com/region"}},
		"a prefix of Kubernetes":     {claims: set{"kubernetes.io/hostname": "db"}, after: set{}, ignored: []string{"kubernetes.io/hostname"}},
		"the prefix itself":          {claims: set{prefix + "region": "eu"}, after: set{}, ignored: []string{prefix + "region"}},
		"a slash before the name":    {claims: set{"/region": "eu"}, after: set{}, ignored: []string{"/region"}},
		"a slash behind the name":    {claims: set{"region/": "eu"}, after: set{}, ignored: []string{"region/"}},
		"the longest name":           {claims: set{strings.Repeat("a", 63): "x"}, after: set{prefix + strings.Repeat("a", 63): "x"}},
		"too long a name":            {claims: set{strings.Repeat("a", 64): "x"}, after: set{}, ignored: []string{strings.Repeat("a", 64)}},
		"too long a value":           {claims: set{"a": strings.Repeat("x", 64)}, after: set{}, ignored: []string{"a"}},
		"a value that is none":       {claims: set{"a": "two words", "b": "\x00", "c": "ok"}, after: set{prefix + "c": "ok"}, ignored: []string{"a", "b"}},
		"a name that is not Unicode": {claims: set{"\xff": "x"}, after: set{}, ignored: []string{"\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			before := fmt.Sprint(test.labels)
			after, ignored := withSelfLabels(test.labels, test.claims)
			g.Expect(after).To(Equal(test.after))
			g.Expect(ignored).To(Equal(test.ignored))
			g.Expect(fmt.Sprint(test.labels)).To(Equal(before), "the cache's own map is left alone")
		})
	}
}

func TestWithTooManySelfLabels(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	claims := map[string]string{}
	for i := range maxSelfLabels + 1 {
		claims[fmt.Sprintf("label-%02d", i)] = "x"
	}
	after, ignored := withSelfLabels(nil, claims)
	g.Expect(after).To(HaveLen(maxSelfLabels))
	g.Expect(ignored).To(Equal([]string{fmt.Sprintf("label-%02d", maxSelfLabels)}))
}

var _ = Describe("What a node says of itself", func() {
	labelsOf := func(ctx SpecContext, node string) func(Gomega) map[string]string {
		return func(g Gomega) map[string]string {
			read := &syncv1alpha1.EdgeNode{}
			g.Expect(admin.Get(ctx, client.ObjectKey{Name: node}, read)).To(Succeed())
			return read.Labels
		}
	}

	It("is a label that no administrator has given", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		create(ctx, edgeNode(name, map[string]string{"owner": "shop"}), configMap(name, "settings"))
		given, said := refSync(name, "given", "settings", ""), refSync(name, "said", "settings", "")
		given.Spec.NodeSelector.MatchLabels = map[string]string{"region": "eu"}
		said.Spec.NodeSelector.MatchLabels = map[string]string{"self.sync.edgesync.io/region": "eu", "owner": "shop"}
		create(ctx, given, said)
		r.fleet.connectSaying(name, "s1", map[string]string{
			"region": "eu", "owner": "bank", "example.com/region": "eu", "kubernetes.io/hostname": "db", "": "x", strings.Repeat("a", 64): "x",
		})
		Eventually(labelsOf(ctx, name)).Should(Equal(map[string]string{
			"owner": "shop", "self.sync.edgesync.io/region": "eu", "self.sync.edgesync.io/owner": "bank",
		}))
		Eventually(statusOf(ctx, said)).Should(HaveField("Desired", BeEquivalentTo(1)))
		Eventually(r.wants(name, "ConfigMap", name, "settings")).Should(HaveField("Object", Not(BeNil())))
		Eventually(synced(ctx, given)).Should(Equal("False NoNodes"))

		By("changing both in one moment")
		change(ctx, edgeNode(name, nil), func(n *syncv1alpha1.EdgeNode) { n.Labels["owner"] = "farm" })
		r.fleet.connectSaying(name, "s2", map[string]string{"region": "us"})
		Eventually(labelsOf(ctx, name)).Should(Equal(map[string]string{"owner": "farm", "self.sync.edgesync.io/region": "us"}))
		Eventually(r.wants(name, "ConfigMap", name, "settings")).Should(HaveField("Object", BeNil()))
	})

	It("stays while it is away, and goes when it says so no longer", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		create(ctx, edgeNode(name, nil))
		r.fleet.connectSaying(name, "s1", map[string]string{"region": "eu"})
		Eventually(labelsOf(ctx, name)).Should(HaveKey("self.sync.edgesync.io/region"))
		r.fleet.leave(name)
		Eventually(conditionsOf(ctx, name)).Should(Equal([]string{"False Disconnected", "Unknown Offline"}))
		Expect(labelsOf(ctx, name)(NewGomega(Fail))).To(HaveKey("self.sync.edgesync.io/region"))
		r.fleet.connect(name, "s2")
		Eventually(labelsOf(ctx, name)).Should(BeEmpty())
	})

	It("is written once, and soon again if somebody takes it away", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		node := edgeNode(name, nil)
		create(ctx, node)
		claims := map[string]string{"region": "eu", "not a label": "x"}
		for session := range 3 {
			r.fleet.connectSaying(name, fmt.Sprintf("s%d", session), claims)
			Eventually(nodeStatusOf(ctx, name)).Should(HaveField("Session.ID", fmt.Sprintf("s%d", session)))
		}
		Expect(labelsOf(ctx, name)(NewGomega(Fail))).To(Equal(map[string]string{"self.sync.edgesync.io/region": "eu"}))
		Expect(r.writes.of("/edgenodes/" + name)).To(Equal(1))
		change(ctx, node, func(n *syncv1alpha1.EdgeNode) { n.Labels = nil })
		Eventually(labelsOf(ctx, name)).Should(Equal(map[string]string{"self.sync.edgesync.io/region": "eu"}))
		Expect(r.writes.of("/edgenodes/" + name)).To(Equal(2))
	})

	It("is written no oftener than status is", func(ctx SpecContext) {
		r, name := newRig(), newNamespace(ctx)
		create(ctx, edgeNode(name, nil))
		started, sessions := time.Now(), 0
		for ; time.Since(started) < 5*testTiming.statusInterval; sessions++ {
			r.fleet.connectSaying(name, fmt.Sprintf("s%d", sessions), map[string]string{"counter": fmt.Sprint(sessions)})
		}
		Eventually(labelsOf(ctx, name)).Should(HaveKeyWithValue("self.sync.edgesync.io/counter", fmt.Sprint(sessions-1)))
		atMost := int(time.Since(started)/testTiming.statusInterval) + 2
		Expect(r.writes.of("/edgenodes/" + name)).To(And(BeNumerically("<=", atMost), BeNumerically("<", sessions)))
	})
})
