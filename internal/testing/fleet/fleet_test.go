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

package fleet

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func requireBinaries(t *testing.T) {
	t.Helper()
	root, err := controlplane.ModuleRoot()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	if _, err := bin("", root); err != nil {
		t.Skipf("needs the real binaries: %v", err)
	}
	if _, err := controlplane.Assets(); err != nil {
		t.Skipf("needs a real control plane: %v", err)
	}
}

func TestMissingBinariesSayHowToGetThem(t *testing.T) {
	t.Parallel()
	_, err := bin(t.TempDir(), "")
	NewWithT(t).Expect(err).To(MatchError(And(ContainSubstring("manager"), ContainSubstring("make build"), ContainSubstring("EDGESYNC_BIN"))))
}

const sample = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {color: green}
---
apiVersion: sync.edgesync.io/v1alpha1
kind: ObjectSync
metadata: {name: settings, namespace: default}
spec:
  objectRef: {apiVersion: v1, kind: ConfigMap, name: settings}
  nodeSelector: {matchLabels: {site: test}}
`

// A fleet starts, delivers, and goes on after its parts were killed, paused and stopped.
func TestFleet(t *testing.T) {
	t.Parallel()
	requireBinaries(t)
	g := NewWithT(t)
	ctx := t.Context()
	// The path of t.TempDir is too long for the agent's socket.
	dir, err := os.MkdirTemp("", "fleet")
	g.Expect(err).NotTo(HaveOccurred())
	defer os.RemoveAll(dir)
	f, err := Start(ctx, Options{Dir: dir, ControlPlane: controlplane.Config{UnsafeNoFsync: true}})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(f.Stop()).To(Succeed()) }()
	c, err := f.Client()
	g.Expect(err).NotTo(HaveOccurred())

	a, err := f.NewAgent(ctx, "edge-1", AgentOptions{Labels: map[string]string{"site": "test"}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Start(ctx)).To(Succeed())
	g.Expect(f.Apply(ctx, sample)).To(Succeed())
	path := filepath.Join(a.ObjectsDir(), "default", "configmaps", "settings.yaml")
	file := func() (string, error) {
		data, err := os.ReadFile(path)
		return string(data), err
	}
	g.Eventually(file).WithTimeout(patience).Should(ContainSubstring("green"))
	g.Eventually(func() (int32, error) {
		var sync syncv1alpha1.ObjectSync
		err := c.Get(ctx, client.ObjectKey{Namespace: "default", Name: "settings"}, &sync)
		return sync.Status.Synced, err
	}).WithTimeout(patience).Should(BeEquivalentTo(1))
	g.Expect(a.Status(ctx)).To(And(HaveField("Node", "edge-1"), HaveField("Running", true),
		HaveField("InSync", true), HaveField("Objects.Applied", 1)))

	patch := func(color string) {
		_, err := f.Kubectl(ctx, "patch", "configmap", "settings", "--type=merge", `--patch={"data":{"color":"`+color+`"}}`)
		g.Expect(err).NotTo(HaveOccurred())
	}
	hub := f.HubURL()
	g.Expect(f.KillManager()).To(Succeed())
	patch("red")
	g.Expect(f.StartManager(ctx)).To(Succeed())
	g.Expect(f.HubURL()).To(Equal(hub))
	g.Eventually(file).WithTimeout(patience).Should(ContainSubstring("red"), "the agent comes back to a new manager")

	g.Expect(a.Pause()).To(Succeed())
	patch("blue")
	g.Expect(a.Continue()).To(Succeed())
	g.Eventually(file).WithTimeout(patience).Should(ContainSubstring("blue"))

	g.Expect(a.Stop()).To(Succeed())
	g.Expect(a.Status(ctx)).To(HaveField("Running", false))
	_, err = f.Kubectl(ctx, "delete", "configmap", "settings")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.Start(ctx)).To(Succeed())
	g.Eventually(path).WithTimeout(patience).ShouldNot(BeAnExistingFile())
}
