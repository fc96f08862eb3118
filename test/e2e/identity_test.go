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
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

var _ = Describe("A join token", func() {
	It("that does not work says why to the administrator, and to nobody else", func(ctx SpecContext) {
		f := newFixture(ctx)
		honest := f.start(ctx, "honest")
		name := f.namespace + "-machine"
		used := newToken(ctx, "--node="+name+"-used")
		Expect(joinWith(ctx, used, name+"-used")).To(ContainSubstring("This machine is now node"))
		DeferCleanup(removeNode, name+"-used")
		expired, revoked, other := newToken(ctx, "--ttl=1s"), newToken(ctx), newToken(ctx)
		runManager(ctx, "token", "revoke", revoked.ID)
		time.Sleep(time.Until(expired.Expires.Add(time.Second)))
		_, secret, _ := strings.Cut(other.Token, ".")
		wrong := joinToken{Token: expired.ID + "." + secret, CAHash: other.CAHash}

		var outputs []string
		for _, test := range []struct {
			token          joinToken
			result, reason string
		}{
			{used, "token_used", "JoinTokenUsed"},
			{expired, "token_expired", "JoinTokenExpired"},
			{revoked, "token_unknown", "JoinTokenUnknown"},
			{wrong, "token_wrong", "JoinTokenWrong"},
			{newToken(ctx, "--node=somebody-else"), "token_bound_elsewhere", "JoinTokenBoundElsewhere"},
			{newToken(ctx, "--node-prefix=core-"), "token_bound_elsewhere", "JoinTokenBoundElsewhere"},
		} {
			counter := fmt.Sprintf("edgesync_join_requests_total{result=%q}", test.result)
			before := metric(counter)
			outputs = append(outputs, joinWith(ctx, test.token, name))
			Expect(metric(counter)-before).To(BeEquivalentTo(1), test.result)
			Eventually(notesAbout).WithContext(ctx).WithArguments(fleet.Namespace, test.reason).ShouldNot(BeEmpty())
		}
		Expect(outputs[0]).To(ContainSubstring("the hub refused the token"))
		for _, output := range outputs {
			Expect(output).To(Equal(outputs[0]))
		}
		honest.becomesInSync(ctx)
	})
})

var _ = Describe("What a node says of itself", func() {
	It("is told apart from what the administrator says", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a", fleet.AgentOptions{ExtraArgs: []string{"--label=tier=gold", "--label=name=b"}})
		said, given := f.sync("said", f.configMaps().named("said")), f.sync("given", f.configMaps().named("secret"))
		said.Spec.NodeSelector.MatchLabels[syncv1alpha1.SelfLabelPrefix+"tier"] = "gold"
		given.Spec.NodeSelector.MatchLabels["tier"] = "gold"
		create(ctx, f.configMap("said", "1"), f.configMap("secret", "1"), said, given)
		n.becomesMirrorOf(ctx, f.configMaps().named("said"))
		has(ctx, given, "Synced", metav1.ConditionFalse, "NoNodes", "")
		Eventually(n.get).WithContext(ctx).Should(HaveField("Labels", SatisfyAll(
			HaveKeyWithValue("name", "a"),
			HaveKeyWithValue(syncv1alpha1.SelfLabelPrefix+"name", "b"),
			HaveKeyWithValue(syncv1alpha1.SelfLabelPrefix+"os", runtime.GOOS),
			HaveKeyWithValue(syncv1alpha1.SelfLabelPrefix+"arch", runtime.GOARCH))))

		By("saying something else")
		n.stop()
		n.Args = append(slices.DeleteFunc(n.Args, func(arg string) bool { return arg == "--label=tier=gold" }), "--label=tier=silver")
		n.start(ctx)
		n.becomesEmpty(ctx)
		Expect(n.get(ctx)).To(HaveField("Labels", HaveKeyWithValue(syncv1alpha1.SelfLabelPrefix+"tier", "silver")))
	})
})

var _ = Describe("An identity", func() {
	It("that two machines have is named to all concerned, and others go on", func(ctx SpecContext) {
		f := newFixture(ctx)
		const superseded = 30 * time.Second // is how long an agent waits at least
		began := time.Now()
		honest, proxies := f.start(ctx, "honest"), []*linkproxy.Proxy{newProxy(), newProxy()}
		original := f.start(ctx, "original", fleet.AgentOptions{HubURL: "https://" + proxies[0].Addr()})
		settings := f.configMap("settings", "0")
		create(ctx, settings, f.sync("all", f.configMaps()))
		original.becomesMirrorOf(ctx, f.configMaps())

		impostor := &node{world.Agent(f.namespace+"-copy", fleet.AgentOptions{
			Node: original.NodeName, ExtraArgs: []string{"--hub=https://" + proxies[1].Addr()},
		})}
		Expect(os.MkdirAll(impostor.StateDir(), 0o700)).To(Succeed())
		identity, err := os.ReadFile(filepath.Join(original.StateDir(), "identity.pem"))
		Expect(err).NotTo(HaveOccurred())
		writeFile(impostor.StateDir(), "identity.pem", string(identity))
		impostor.start(ctx)
		DeferCleanup(impostor.Kill)
		isNamed := SatisfyAll(
			ContainSubstring("another agent connected with this node's identity"),
			ContainSubstring("join the copy under a name of its own"))
		Eventually(original.statusText).WithContext(ctx).Should(isNamed)

		var slowest time.Duration
		changes := 0
		Eventually(func() ([]string, error) {
			changes++
			changed := time.Now()
			change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = strconv.Itoa(changes) })
			honest.becomesMirrorOf(ctx, f.configMaps())
			slowest = max(slowest, time.Since(changed))
			return notesAbout(ctx, "default", "DuplicateIdentity")
		}).WithContext(ctx).Should(ContainElement(MatchRegexp(`take its session from each other, at last from 127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+: join the copy again`)))
		Eventually(impostor.statusText).WithContext(ctx).Should(isNamed)
		original.has(ctx, "Connected", metav1.ConditionTrue, "DuplicateIdentity", "under a name of its own")
		AddReportEntry("changes delivered to another node meanwhile", fmt.Sprintf("%d, the slowest in %s", changes, slowest))
		connections := len(proxies[0].Accepted()) + len(proxies[1].Accepted())
		AddReportEntry("connections of both", fmt.Sprintf("%d in %s", connections, time.Since(began)))
		Expect(connections).To(BeNumerically("<=", 4+2*int(time.Since(began)/superseded)))

		By("ending the copy")
		impostor.stop()
		original.becomesInSync(ctx)
		original.becomesMirrorOf(ctx, f.configMaps())
	})
})

// joinWith has a new machine join, and returns what the command prints, whether it works or not.
func joinWith(ctx SpecContext, token joinToken, name string) string {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, agentPath(), "join",
		"--state-dir="+GinkgoT().TempDir(), "--node="+name, "--hub="+world.HubURL(), "--ca-hash="+token.CAHash, "--token-file=-")
	cmd.Stdin = strings.NewReader(token.Token)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	Expect(err == nil || errors.As(err, &exit)).To(BeTrue(), "%v", err)
	return string(out)
}

func removeNode(ctx SpecContext, name string) {
	edgeNode := &syncv1alpha1.EdgeNode{}
	edgeNode.Name = name
	remove(ctx, edgeNode)
}
