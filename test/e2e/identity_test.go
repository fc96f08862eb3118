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
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
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
