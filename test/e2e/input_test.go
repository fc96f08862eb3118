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
	"encoding/json"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

var _ = Describe("Bad input", func() {
	It("that the API server can tell is refused there", func(ctx SpecContext) {
		f := newFixture(ctx)
		refusal := func(mutate func(*syncv1alpha1.SyncSpec)) error {
			sync := f.sync("bad", f.configMaps())
			mutate(&sync.Spec)
			return admin.Create(ctx, sync)
		}
		Expect(refusal(func(s *syncv1alpha1.SyncSpec) {
			s.ObjectRef = &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: "settings"}
		})).To(MatchError(ContainSubstring("exactly one of objectRef and objectSelector must be set")))
		Expect(refusal(func(s *syncv1alpha1.SyncSpec) { s.NodeName = "edge-1" })).
			To(MatchError(ContainSubstring("exactly one of nodeName and nodeSelector must be set")))
		Expect(refusal(func(s *syncv1alpha1.SyncSpec) {
			s.Rollout = &syncv1alpha1.Rollout{MaxInProgress: new(intstr.FromString("0%"))}
		})).To(MatchError(ContainSubstring("maxInProgress is a positive number")))
	})

	It("that only time can tell is named in status, and over as soon as it is right", func(ctx SpecContext) {
		f := newFixture(ctx)
		unknown := f.sync("unknown", selection{kind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Nonsense"}, name: "x"})
		missing := f.sync("missing", f.configMaps().named("missing"))
		nowhere := f.sync("nowhere", f.configMaps().named("settings"))
		nowhere.Spec.NodeSelector, nowhere.Spec.NodeName = nil, f.namespace+"-late"
		settings := f.configMap("settings", "1")
		n := f.start(ctx, "a")
		create(ctx, unknown, missing, nowhere, settings)
		has(ctx, unknown, "Stalled", metav1.ConditionTrue, "KindUnknown", "The API server does not serve the kind Nonsense in example.com/v1")
		has(ctx, missing, "Synced", metav1.ConditionFalse, "NoObjects", `The ConfigMap "missing" does not exist. It is delivered as soon as one does.`)
		has(ctx, nowhere, "Synced", metav1.ConditionFalse, "NoNodes", `The EdgeNode "`+f.namespace+`-late" does not exist, or is revoked. The objects are delivered as soon as it may connect.`)

		create(ctx, f.configMap("missing", "1"))
		n.becomesMirrorOf(ctx, f.configMaps().named("missing"))
		becomesSynced(ctx, missing, 1, 1)
		late := f.start(ctx, "late")
		late.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, nowhere, 1, 1)
	})

	It("to a join is refused, and the token is not wasted", func(ctx SpecContext) {
		f := newFixture(ctx)
		token := newToken(ctx, "--node="+f.namespace+"-a")
		other := newToken(ctx, "--node="+f.namespace+"-b")
		state := GinkgoT().TempDir()
		join := func(node, token, caHash string) (string, error) {
			command := exec.CommandContext(ctx, agentPath(), "join", "--state-dir="+filepath.Join(state, node), "--node="+node,
				"--hub="+world.HubURL(), "--token="+token, "--ca-hash="+caHash)
			out, err := command.CombinedOutput()
			return string(out), err
		}
		refused := func(node, token, caHash, why string) {
			GinkgoHelper()
			out, err := join(node, token, caHash)
			Expect(err).To(HaveOccurred())
			Expect(out).To(ContainSubstring(why))
		}
		const newOne = "it is wrong, used up, expired, or meant for another node; make a new one with `manager token create`"
		refused(f.namespace+"-a", token.Token, "sha256:"+text(0, 64), "sha256:"+text(0, 64))
		refused(f.namespace+"-a", "nonsense", token.CAHash, "token")
		refused(f.namespace+"-a", token.ID+token.Token[len(token.ID):len(token.Token)-4]+"aaaa", token.CAHash, newOne)
		refused(f.namespace+"-a", other.Token, token.CAHash, newOne)

		_, err := join(f.namespace+"-a", token.Token, token.CAHash)
		Expect(err).NotTo(HaveOccurred())
		refused(f.namespace+"-b", token.Token, token.CAHash, newOne)
		refused(f.namespace+"-a", token.Token, token.CAHash, "use --force")
		Expect(admin.Delete(ctx, &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: f.namespace + "-a"}})).To(Succeed())
	})

	It("an object that is too large stops nothing else, and arrives once it is smaller", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a", fleet.AgentOptions{ExtraArgs: []string{"--max-object-bytes=4000"}})
		large := f.configMap("large", text(1, 5000))
		sync := f.sync("all", f.configMaps())
		create(ctx, large, f.configMap("small", "1"), sync)
		n.becomesMirrorOf(ctx, f.configMaps().named("small"))
		tooLarge := SatisfyAll(
			HaveField("Reason", "TooLarge"),
			HaveField("Message", MatchRegexp(`the object is \d+ bytes; the node accepts 4000`)))
		Eventually(statusOf).WithContext(ctx).WithArguments(sync).Should(SatisfyAll(
			HaveField("Failed", BeEquivalentTo(1)),
			HaveField("Failures", ConsistOf(And(tooLarge, HaveField("Object", "v1/ConfigMap/large"), HaveField("Node", n.NodeName)))),
			haveCondition("Synced", metav1.ConditionFalse, "Failed", "see status.failures")))
		Eventually(n.get).WithContext(ctx).Should(HaveField("Status", SatisfyAll(
			HaveField("Failures", ConsistOf(And(tooLarge, HaveField("Object", "v1/ConfigMap/"+f.namespace+"/large")))),
			haveCondition("Synced", metav1.ConditionFalse, "Failed", ""))))
		Eventually(notesAbout).WithContext(ctx).WithArguments(f.namespace, "TooLarge").Should(Not(BeEmpty()))

		change(ctx, large, func(c *corev1.ConfigMap) { c.Data["key"] = "small" })
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 2)
		n.has(ctx, "Synced", metav1.ConditionTrue, "Synced", "")
	})

	It("an object that grows too large stays as it was, until it is smaller or gone", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a", fleet.AgentOptions{ExtraArgs: []string{"--max-object-bytes=4000"}})
		growing := f.configMap("growing", "small")
		sync := f.sync("all", f.configMaps())
		create(ctx, growing, sync)
		n.becomesMirrorOf(ctx, f.configMaps())
		change(ctx, growing, func(c *corev1.ConfigMap) { c.Data["key"] = text(1, 5000) })
		Eventually(statusOf).WithContext(ctx).WithArguments(sync).Should(HaveField("Failures", ConsistOf(HaveField("Reason", "TooLarge"))))
		Expect(n.fileOf(f.configMaps().named("growing"))).To(ContainSubstring("key: small"))
		remove(ctx, growing)
		n.becomesEmpty(ctx)
	})
})

func agentPath() string { return filepath.Join(filepath.Dir(world.Manager().Path), "edge-agent") }

// joinToken is the answer of manager token create.
type joinToken struct {
	ID, Token, CAHash string
	Expires           time.Time
}

func newToken(ctx SpecContext, args ...string) (token joinToken) {
	GinkgoHelper()
	out := runManager(ctx, append([]string{"token", "create", "--output=json"}, args...)...)
	Expect(json.Unmarshal([]byte(out), &token)).To(Succeed())
	return token
}

// runManager runs a subcommand of the manager as the administrator.
func runManager(ctx SpecContext, args ...string) string {
	GinkgoHelper()
	return run(ctx, world.Manager().Path, append(args,
		"--kubeconfig="+world.ControlPlane().KubeconfigPath(), "--namespace="+fleet.Namespace)...)
}
