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
	"bufio"
	"net/http"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/linkproxy"
)

var _ = Describe("Economy", func() {
	It("1,000 delivered objects cause at most 20 writes to the API server", func(ctx SpecContext) {
		awaitEndOfSyncs(ctx) // what the manager still has to write of them would count here
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		n.has(ctx, "Synced", metav1.ConditionTrue, "Synced", "")
		sync := f.sync("all", f.configMaps())
		before := len(managerWrites())
		delivered := metric("edgesync_hub_puts_total")

		create(ctx, sync)
		f.createMany(ctx, 1000, func(i int) string { return text(i, 1024) })
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 1000)
		Eventually(n.get).WithContext(ctx).Should(HaveField("Status", SatisfyAll(
			HaveField("Objects", HaveField("Held", BeEquivalentTo(1000))),
			haveCondition("Synced", metav1.ConditionTrue, "Synced", ""))))

		writes := managerWrites()[before:]
		AddReportEntry("writes", strings.Join(writes, "\n"), ReportEntryVisibilityFailureOrVerbose)
		Expect(metric("edgesync_hub_puts_total") - delivered).To(BeNumerically(">=", 1000))
		Expect(len(writes)).To(And(BeNumerically(">", 0), BeNumerically("<=", 20)), strings.Join(writes, "\n"))
	})

	It("a reconnect with nothing changed sends no object", func(ctx SpecContext) {
		const objects, size = 100, 10_000
		f := newFixture(ctx)
		proxy := newProxy()
		n := f.start(ctx, "a", fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
		sent := metric("edgesync_hub_object_bytes_total")
		f.createMany(ctx, objects, func(i int) string { return text(i, size) })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, objects)
		n.becomesInSync(ctx)
		Expect(metric("edgesync_hub_object_bytes_total") - sent).To(BeNumerically(">", objects*size))

		// passed is how much a new session needs, each way, until the node is in sync again.
		passed := func(reconnect func()) (down, up int64) {
			GinkgoHelper()
			session := n.session(ctx)
			down, up = proxy.Passed(linkproxy.Down), proxy.Passed(linkproxy.Up)
			reconnect()
			Eventually(n.session).WithContext(ctx).Should(And(Not(Equal(session)), Not(BeEmpty())))
			n.becomesInSync(ctx)
			return proxy.Passed(linkproxy.Down) - down, proxy.Passed(linkproxy.Up) - up
		}
		puts := metric("edgesync_hub_puts_total")
		for name, reconnect := range map[string]func(){
			"the link was cut":        proxy.Cut,
			"the agent was restarted": func() { n.stop(); n.start(ctx) },
		} {
			down, up := passed(reconnect)
			Expect(down).To(BeNumerically("<", size), name)
			Expect(up).To(BeNumerically("<", size), name)
		}
		Expect(metric("edgesync_hub_puts_total")).To(Equal(puts))

		// A manager that does not know the objects yet may ask for the inventory.
		down, _ := passed(func() {
			Expect(world.KillManager()).To(Succeed())
			Expect(world.StartManager(ctx)).To(Succeed())
		})
		Expect(down).To(BeNumerically("<", size))
		Expect(metric("edgesync_hub_puts_total")).To(BeZero())
		n.becomesMirrorOf(ctx, f.configMaps())
	})

	It("a node that comes and goes leaves nothing behind in the manager", func(ctx SpecContext) {
		const times = 20
		f := newFixture(ctx)
		proxy := newProxy()
		n := f.start(ctx, "a", fleet.AgentOptions{HubURL: "https://" + proxy.Addr()})
		create(ctx, f.configMap("settings", "1"), f.sync("all", f.configMaps()))
		n.becomesMirrorOf(ctx, f.configMaps())
		n.becomesInSync(ctx)
		goroutines, files := metric("go_goroutines"), metric("process_open_fds")
		for range times {
			before := len(proxy.Accepted())
			proxy.Cut()
			Eventually(func() int { return len(proxy.Accepted()) }).WithContext(ctx).Should(BeNumerically(">", before))
			n.becomesInSync(ctx)
		}
		Eventually(metric).WithContext(ctx).WithArguments("go_goroutines").Should(BeNumerically("<", goroutines+times))
		Eventually(metric).WithContext(ctx).WithArguments("process_open_fds").Should(BeNumerically("<", files+times))
	})
})

// session is the id of the node's session; empty if it has none.
func (n *node) session(ctx SpecContext) string {
	edgeNode, err := n.get(ctx)
	if err != nil || edgeNode.Status.Session == nil {
		return ""
	}
	return edgeNode.Status.Session.ID
}

// metric is the sum of a metric of the manager.
func metric(name string) (sum float64) {
	GinkgoHelper()
	response, err := http.Get(world.MetricsURL())
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	found := false
	for lines.Scan() {
		if series, value, ok := strings.Cut(lines.Text(), " "); ok && (series == name || strings.HasPrefix(series, name+"{")) {
			number, err := strconv.ParseFloat(value, 64)
			Expect(err).NotTo(HaveOccurred())
			sum, found = sum+number, true
		}
	}
	Expect(lines.Err()).NotTo(HaveOccurred())
	Expect(found).To(BeTrue(), name)
	return sum
}
