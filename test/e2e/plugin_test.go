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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/process"
)

var _ = Describe("The plugin of kubectl", func() {
	It("shows what nodes hold, says why, and acts", func(ctx SpecContext) {
		serveQueries(ctx)
		f := newFixture(ctx)
		n, away := f.start(ctx, "a"), f.join(ctx, "b", fleet.AgentOptions{})
		objects := f.createMany(ctx, 12, func(int) string { return "1" })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		in := "--namespace=" + f.namespace

		Expect(edgesync(ctx, "status", "all", in, "--wait", "--timeout=2m")).To(And(
			HaveField("Code", 0), HaveField("Out", ContainSubstring("synced on 1 nodes; 1 are offline"))))
		n.becomesMirrorOf(ctx, f.configMaps())
		Expect(edgesync(ctx, "nodes", n.NodeName, away.NodeName, "-o", "wide")).To(HaveField("Out", And(
			MatchRegexp(n.NodeName+` +True +Synced `), MatchRegexp(away.NodeName+` +NeverConnected +Offline `))))
		Expect(edgesync(ctx, "diff", n.NodeName)).To(And(
			HaveField("Code", 0), HaveField("Out", HavePrefix(n.NodeName+" holds all that it should (12 objects)"))))
		Expect(edgesync(ctx, "diff", away.NodeName)).To(And(
			HaveField("Code", 2), HaveField("Out", ContainSubstring("offline (it has never been connected)"))))

		object := "cm/" + objects[0].Name
		Expect(edgesync(ctx, "why", n.NodeName, object, in)).To(HaveField("Out", And(
			HavePrefix("%s holds ConfigMap %s/%s as it should, and has applied it.", n.NodeName, f.namespace, objects[0].Name),
			MatchRegexp(`(?m)^State: +Synced$`), MatchRegexp(`(?m)^Held: +version \d+ `),
			MatchRegexp(`(?m)^Sent: +20\d\d-\S+Z \(.* ago\)$`), MatchRegexp(`(?m)^Persisted: +20\d\d-\S+Z \(.* ago\)$`),
			MatchRegexp(`(?m)^Applied: +20\d\d-\S+Z \(.* ago\)$`),
			ContainSubstring("objectsync %s/all wants it on %s", f.namespace, n.NodeName))))
		Expect(edgesync(ctx, "why", away.NodeName, object, in)).To(HaveField("Out", ContainSubstring("it gets ConfigMap")))
		Expect(edgesync(ctx, "why", n.NodeName, "cm/kube-root-ca.crt", in)).To(HaveField("Out", ContainSubstring("its objectSelector asks for")))

		Expect(edgesync(ctx, "rollout", "pause", "all", in)).To(HaveField("Code", 0))
		Eventually(edgesync).WithContext(ctx).WithArguments("why", n.NodeName, object, in).
			Should(HaveField("Out", ContainSubstring("is suspended; go on with: kubectl edgesync rollout resume all -n "+f.namespace)))
		change(ctx, objects[0], func(c *corev1.ConfigMap) { c.Data["key"] = "2" })
		Expect(edgesync(ctx, "diff", n.NodeName)).To(HaveField("Code", 1))
		Expect(edgesync(ctx, "rollout", "resume", "all", in)).To(HaveField("Code", 0))
		Expect(edgesync(ctx, "rollout", "status", "all", in, "--timeout=2m")).To(HaveField("Code", 0))
		n.becomes(ctx, f.configMaps().named(objects[0].Name), `key: "2"`)
	})

	It("approves deletions that are held back", func(ctx SpecContext) {
		serveQueries(ctx)
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		f.createMany(ctx, 12, func(int) string { return "1" })
		sync := f.sync("all", f.configMaps())
		create(ctx, sync)
		n.becomesMirrorOf(ctx, f.configMaps())

		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) {
			s.Spec.NodeSelector, s.Spec.NodeName = nil, "nobody"
		})
		n.has(ctx, "Synced", metav1.ConditionFalse, "DeletesHeldBack", "")
		Expect(edgesync(ctx, "why", n.NodeName, "cm/object-0000", "--namespace="+f.namespace)).
			To(HaveField("Out", ContainSubstring("kubectl edgesync approve-deletes "+n.NodeName)))
		Expect(edgesync(ctx, "approve-deletes", n.NodeName)).To(And(HaveField("Code", 1),
			HaveField("Out", And(ContainSubstring("would lose 12 of the 12 objects"), ContainSubstring("ConfigMap "+f.namespace+"/object-0011")))))
		Consistently(n.countFiles).Should(Equal(12), "nobody has answered")
		Expect(edgesync(ctx, "approve-deletes", n.NodeName, "--yes")).To(HaveField("Code", 0))
		n.becomesEmpty(ctx)
	})

	It("makes tokens that machines join with, and is found by kubectl", func(ctx SpecContext) {
		created := edgesync(ctx, "token", "create", "-o", "json")
		Expect(created.Code).To(BeZero(), created.Out)
		var token joinToken
		Expect(json.Unmarshal([]byte(created.Out), &token)).To(Succeed())
		Expect(token.CAHash).To(HavePrefix("sha256:"))

		kubectl := pluginCommand(ctx, world.KubectlPath(), "edgesync", "token", "list")
		kubectl.Env = append(kubectl.Env, "PATH="+filepath.Dir(world.Manager().Path)+":"+os.Getenv("PATH"))
		out, err := kubectl.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(HavePrefix("ID "))
	})
})

// pluginRun is what a run of the plugin has come to.
type pluginRun struct {
	Code int
	// Out is all that it printed.
	Out string
}

// edgesync runs the plugin as the administrator.
func edgesync(ctx context.Context, args ...string) pluginRun {
	var out bytes.Buffer
	cmd := pluginCommand(ctx, filepath.Join(filepath.Dir(world.Manager().Path), "kubectl-edgesync"), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return pluginRun{Code: -1, Out: fmt.Sprintf("%v (make build-plugin builds it)", err)}
	}
	GinkgoWriter.Printf("$ kubectl edgesync %s\n%s", strings.Join(args, " "), out.String())
	return pluginRun{Code: cmd.ProcessState.ExitCode(), Out: out.String()}
}

func pluginCommand(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+world.ControlPlane().KubeconfigPath(), "KUBECACHEDIR="+GinkgoT().TempDir())
	return cmd
}

// serveQueries has the manager of this suite, which runs outside of the cluster, serve the query
// API for the rest of the spec.
func serveQueries(ctx SpecContext) {
	GinkgoHelper()
	ports, err := process.ChoosePorts(filepath.Join(GinkgoT().TempDir(), "ports.json"), map[string]int{"query": 0})
	Expect(err).NotTo(HaveOccurred())
	Expect(ports.Release()).To(Succeed())
	Expect(world.InstallQuery(ctx, ports.Get("query"))).To(Succeed())
	Expect(world.StopManager()).To(Succeed())
	Expect(world.StartManager(ctx, "--query-bind-address="+ports.Address("query"))).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(world.UninstallQuery(ctx)).To(Succeed())
		Expect(world.StopManager()).To(Succeed())
		Expect(world.StartManager(ctx)).To(Succeed())
	})
	Expect(world.WaitQuery(ctx)).To(Succeed())
}
