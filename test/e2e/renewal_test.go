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
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

var _ = Describe("A certificate that does not live for long", func() {
	BeforeEach(func() {
		DeferCleanup(func(ctx SpecContext) { restartManager(ctx) })
	})

	It("is renewed again and again, and what changes meanwhile arrives", func(ctx SpecContext) {
		restartManager(ctx, "--node-certificate-lifetime=45s")
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		objects := f.createMany(ctx, 20, func(int) string { return "old" })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)

		const renewals = 3
		changes := 0
		Eventually(func() ([]string, error) {
			change(ctx, objects[changes%len(objects)], func(c *corev1.ConfigMap) { c.Data["key"] = strconv.Itoa(changes) })
			changes++
			return n.issued(ctx)
		}).Should(Satisfy(func(issued []string) bool { return len(issued) > renewals }))
		Eventually(n.log).Should(WithTransform(countReconnects, BeNumerically(">=", renewals)))

		AddReportEntry("changes meanwhile", changes)
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, len(objects))
		n.becomesInSync(ctx)
		Expect(n.issued(ctx)).NotTo(ContainElement("RenewedAfterExpiry"))
		Expect(n.log()).NotTo(Or(ContainSubstring("level=ERROR"), ContainSubstring("Disconnected")))
	})

	It("is renewed after its end when the node was off", func(ctx SpecContext) {
		restartManager(ctx, "--node-certificate-lifetime=5s")
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		settings := f.configMap("settings", "old")
		create(ctx, settings, f.sync("all", f.configMaps()))
		n.becomesMirrorOf(ctx, f.configMaps())
		n.stop()

		restartManager(ctx)
		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		n.expires(ctx)
		n.start(ctx)
		n.becomesInSync(ctx)
		n.becomesMirrorOf(ctx, f.configMaps())
		issued, err := n.issued(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(issued[0]).To(Equal("RenewedAfterExpiry"))
	})

	It("survives any crash of the agent around its renewal", func(ctx SpecContext) {
		// A certificate is dated back, for clocks that are behind: one with a short life is
		// renewed as soon as the agent starts.
		restartManager(ctx, "--node-certificate-lifetime=1m")
		f := newFixture(ctx)
		create(ctx, f.configMap("settings", "1"), f.sync("all", f.configMaps()))
		proxy := newProxy()
		join := func(name string) *node {
			return f.join(ctx, name, fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
		}
		comesBack := func(n *node) {
			GinkgoHelper()
			n.start(ctx)
			n.becomesInSync(ctx)
			n.becomesMirrorOf(ctx, f.configMaps())
			n.stop()
		}
		before := proxy.Passed(linkproxy.Down)
		comesBack(join("undisturbed"))
		// The renewal may come before the first session, or there is a second one after it:
		// this much passes in either case.
		bytes := (proxy.Passed(linkproxy.Down) - before) * 2 / 5

		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 3))
		renewed := 0
		for crash := range 20 {
			n := join(fmt.Sprintf("crash-%d", crash))
			before, moment := proxy.Passed(linkproxy.Down), random.Int64N(bytes)
			Expect(n.EnsureStarted()).To(Succeed())
			if crash%2 == 0 {
				By(fmt.Sprintf("killing the agent when the hub has sent %d of %d bytes", moment, bytes))
				Eventually(func() int64 { return proxy.Passed(linkproxy.Down) - before }).
					WithPolling(time.Millisecond).Should(BeNumerically(">=", moment))
			} else {
				By("killing the agent when the hub has issued the next certificate")
				Eventually(n.issued).WithContext(ctx).WithPolling(time.Millisecond).Should(HaveLen(2))
			}
			n.kill()
			if issued, err := n.issued(ctx); err == nil && len(issued) > 1 {
				renewed++
			}
			comesBack(n)
		}
		AddReportEntry("renewed when the agent was killed", renewed)
	})

	It("and cannot be renewed any more says what to do, and that helps", func(ctx SpecContext) {
		restartManager(ctx, "--node-certificate-lifetime=2s")
		f := newFixture(ctx)
		n := f.join(ctx, "a", fleet.AgentOptions{})
		restartManager(ctx, "--node-certificate-renewal-grace=0s")
		create(ctx, f.configMap("settings", "1"), f.sync("all", f.configMaps()))
		n.expires(ctx)
		n.start(ctx)

		Eventually(n.statusText).WithContext(ctx).Should(SatisfyAll(
			ContainSubstring("more than the grace period of 0s ago"), MatchRegexp(advice)))
		status, err := n.statusText(ctx)
		Expect(err).NotTo(HaveOccurred())
		n.follow(ctx, status)
		n.becomesInSync(ctx)
		n.becomesMirrorOf(ctx, f.configMaps())
		Expect(n.issued(ctx)).To(ContainElements("Joined", "Joined"))
	})
})

// issued is what each certificate in the status of the EdgeNode was issued for.
func (n *node) issued(ctx context.Context) (reasons []string, err error) {
	edgeNode, err := n.get(ctx)
	for _, certificate := range edgeNode.Status.Certificates {
		reasons = append(reasons, certificate.Reason)
	}
	return reasons, err
}

// expires waits until the certificate of the agent, which does not run, has expired.
func (n *node) expires(ctx SpecContext) {
	GinkgoHelper()
	Eventually(n.statusText).WithContext(ctx).Should(MatchRegexp(`Certificate: +expired`))
}

func (n *node) log() (string, error) {
	log, err := os.ReadFile(n.LogPath())
	return string(log), err
}

func countReconnects(log string) int { return strings.Count(log, "msg=Reconnecting") }

// advice is what status says when the node has to join again: the arguments for the edge
// and those for the manager.
const advice = "on this machine run `edge-agent (join [^`]+)` with a token made by `manager (token create [^`]+)`"

// follow does what status says.
func (n *node) follow(ctx SpecContext, status string) {
	GinkgoHelper()
	match := regexp.MustCompile(advice).FindStringSubmatch(status)
	Expect(match).To(HaveLen(3))
	token := run(ctx, world.Manager().Path, append(strings.Fields(match[2]),
		"--kubeconfig="+world.ControlPlane().KubeconfigPath(), "--hub="+world.HubURL())...)
	command := regexp.MustCompile(`edge-agent join (.*)`).FindStringSubmatch(token)
	Expect(command).NotTo(BeNil(), token)
	run(ctx, n.Path, append(append(strings.Fields(match[1]), "--state-dir="+n.StateDir()), strings.Fields(command[1])...)...)
}

// run runs a command and returns what it printed.
func run(ctx SpecContext, path string, args ...string) string {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return string(out)
}
