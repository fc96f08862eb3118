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

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/process"
)

const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// run runs one command of the quickstart on dir and returns what it printed.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append(args, "--dir="+dir))
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

func requireBinaries(t *testing.T) {
	t.Helper()
	f, err := newFleet(shortDir(t), ports{})
	if err != nil {
		t.Skipf("needs the real binaries: %v", err)
	}
	NewWithT(t).Expect(f.Close()).To(Succeed())
}

// shortDir is a directory for which t.TempDir is too long: agents listen on a socket in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "qs")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "quickstart")
}

// freePorts are flags for ports that nobody listens on, by the name of the flag.
func freePorts(t *testing.T) map[string]string {
	t.Helper()
	g := NewWithT(t)
	wanted := map[string]int{}
	var p ports
	for _, f := range p.all() {
		wanted[f.flag] = 0
	}
	chosen, err := process.ChoosePorts(filepath.Join(t.TempDir(), "ports.json"), wanted)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(chosen.Release()).To(Succeed()) })
	flags := map[string]string{}
	for flag := range wanted {
		flags[flag] = fmt.Sprintf("--%s=%d", flag, chosen.Get(flag))
	}
	return flags
}

// pids returns the process id of each program in dir, 0 for one that does not run.
func pids(dir string) map[string]int {
	all := map[string]int{}
	for _, path := range []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "manager", "edge-1/edge-agent", "edge-2/edge-agent",
	} {
		all[path] = detached(dir, path).PID()
	}
	return all
}

// detached is the program that was started in dir at path, which ends with its name.
func detached(dir, path string) *process.Program {
	return &process.Program{Path: path, Dir: filepath.Join(dir, filepath.Dir(path)), Detached: true}
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	requireBinaries(t)
	g := NewWithT(t)
	ctx, dir := t.Context(), shortDir(t)
	t.Cleanup(func() {
		_, err := run(context.Background(), dir, "down")
		g.Expect(err).NotTo(HaveOccurred())
	})

	out, err := run(ctx, dir, slices.AppendSeq([]string{"up"}, maps.Values(freePorts(t)))...)
	g.Expect(err).NotTo(HaveOccurred(), out)
	g.Expect(out).To(And(ContainSubstring("started manager"), ContainSubstring("started edge-agent edge-2"),
		MatchRegexp(`synced: 2 in its status \d`), ContainSubstring("export KUBECONFIG="+dir+"/kubeconfig")))
	for _, node := range nodeNames {
		g.Expect(os.ReadFile(settingsOf(dir, node))).To(ContainSubstring("hello, edge"))
	}
	first := pids(dir)
	g.Expect(first).NotTo(ContainElement(0))

	t.Run("status", func(t *testing.T) {
		g := NewWithT(t)
		out, err := run(ctx, dir, "status")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out).To(MatchRegexp(`(?m)^manager +%d .* ok$`, first["manager"]))
		g.Expect(out).To(MatchRegexp(`(?m)^kube-apiserver +%d .* ok$`, first["kube-apiserver"]))
		g.Expect(strings.Count(out, "connected for")).To(Equal(2))
	})

	t.Run("the plugin of kubectl says what nodes hold", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(kubectl(t, dir, "edgesync", "nodes")).To(MatchRegexp(`(?m)^edge-1 +True +Synced `))
		g.Expect(kubectl(t, dir, "edgesync", "diff", "edge-1")).To(HavePrefix("edge-1 holds all that it should"))
		g.Expect(kubectl(t, dir, "edgesync", "why", "edge-1", "configmap/settings", "--namespace=quickstart")).
			To(HavePrefix("edge-1 holds ConfigMap quickstart/settings as it should, and has applied it."))
	})

	t.Run("up again starts what has died and keeps the rest", func(t *testing.T) {
		g := NewWithT(t)
		kubectl(t, dir, "patch", "configmap", "settings", "--namespace=quickstart", "--type=merge", `--patch={"data":{"greeting":"mine"}}`)
		g.Expect(detached(dir, "manager").Kill()).To(Succeed())
		g.Expect(detached(dir, "edge-2/edge-agent").Kill()).To(Succeed())
		out, err := run(ctx, dir, "status")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(strings.Count(out, "it does not run")).To(Equal(2), out)

		out, err = run(ctx, dir, "up")
		g.Expect(err).NotTo(HaveOccurred(), out)
		g.Expect(out).To(And(ContainSubstring("started manager"), ContainSubstring("started edge-agent edge-2")))
		g.Expect(out).NotTo(Or(ContainSubstring("started etcd"), ContainSubstring("started edge-agent edge-1"), ContainSubstring("sample:")))
		second := pids(dir)
		g.Expect(second).NotTo(ContainElement(0))
		for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "edge-1/edge-agent"} {
			g.Expect(second).To(HaveKeyWithValue(name, first[name]))
		}
		for _, node := range nodeNames {
			g.Eventually(os.ReadFile).WithArguments(settingsOf(dir, node)).
				WithTimeout(patience).Should(ContainSubstring("mine"), "the sample is the user's")
		}
	})

	t.Run("other ports", func(t *testing.T) {
		g := NewWithT(t)
		ports := freePorts(t)
		out, err := run(ctx, dir, "up", ports["hub-port"], ports["api-server-port"])
		g.Expect(err).NotTo(HaveOccurred(), out)
		g.Expect(pids(dir)).NotTo(ContainElement(0))
		kubectl(t, dir, "patch", "configmap", "settings", "--namespace=quickstart", "--type=merge", `--patch={"data":{"greeting":"moved"}}`)
		for _, node := range nodeNames {
			g.Eventually(os.ReadFile).WithArguments(settingsOf(dir, node)).WithTimeout(patience).Should(ContainSubstring("moved"))
		}
	})

	t.Run("down leaves nothing", func(t *testing.T) {
		g := NewWithT(t)
		running := pids(dir)
		out, err := run(ctx, dir, "down")
		g.Expect(err).NotTo(HaveOccurred(), out)
		g.Expect(dir).NotTo(BeADirectory())
		for name, pid := range running {
			cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			g.Expect(string(cmdline)).NotTo(ContainSubstring(dir), name)
		}
		out, err = run(ctx, dir, "status")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out).To(ContainSubstring("Nothing runs"))
	})
}

func settingsOf(dir, node string) string {
	return filepath.Join(dir, node, "objects", "quickstart", "configmaps", "settings.yaml")
}

// kubectl runs kubectl, with the plugin beside the manager, and returns what it prints.
func kubectl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	g := NewWithT(t)
	assets, err := controlplane.Assets()
	g.Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(t.Context(), filepath.Join(assets, "kubectl"), args...)
	bin := cmp.Or(os.Getenv("EDGESYNC_BIN"), "../../bin")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"), "KUBECACHEDIR="+filepath.Join(dir, "kubectl-cache"),
		"PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}

func TestTakenPortNamesTheFlag(t *testing.T) {
	t.Parallel()
	requireBinaries(t)
	g := NewWithT(t)
	l, err := net.Listen("tcp", net.JoinHostPort(process.Host, "0"))
	g.Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	dir := shortDir(t)

	flags := freePorts(t)
	flags["hub-port"] = "--hub-port=" + port
	_, err = run(t.Context(), dir, slices.AppendSeq([]string{"up"}, maps.Values(flags))...)
	g.Expect(err).To(MatchError(And(ContainSubstring("port "+port+", which manager needs for the hub"), ContainSubstring("--hub-port=PORT"))))
	g.Expect(pids(dir)).To(HaveEach(0), "nothing was started")
	_, err = run(t.Context(), dir, "down")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(dir).NotTo(BeADirectory())
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := shortDir(t)
	g.Expect(os.Mkdir(dir, 0o700)).To(Succeed())
	unlock, err := lock(dir)
	g.Expect(err).NotTo(HaveOccurred())
	for _, command := range []string{"up", "down"} {
		_, err = run(t.Context(), dir, command)
		g.Expect(err).To(MatchError(errLocked), command)
	}
	unlock()
	_, err = run(t.Context(), dir, "down")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(dir).NotTo(BeADirectory())
	out, err := run(t.Context(), dir, "down")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(ContainSubstring("nothing runs"))
}

func TestForeignDirectoriesAreLeftAlone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	g.Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())
	for _, command := range []string{"up", "down"} {
		_, err := run(t.Context(), dir, command)
		g.Expect(err).To(MatchError(ContainSubstring("--dir")), command)
	}
	g.Expect(os.ReadDir(dir)).To(HaveLen(1))
}

func TestPortsOfTheRunBefore(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := ports{Hub: 1}
	p.complete(ports{Hub: 2, Etcd: 3})
	g.Expect(p).To(Equal(ports{APIServer: 16443, Etcd: 3, ControllerManager: 11257, Hub: 1, Health: 18081, Metrics: 18080, Query: 10446}))
}

// Whatever the file of an earlier run holds is refused, or can be kept.
func FuzzLoadRecord(f *testing.F) {
	f.Add([]byte(`{"Ports":{"Hub":10443},"SampleApplied":true}`))
	f.Add([]byte(`{"Ports":[]}`))
	f.Add([]byte(`{"Ports":{"Hub":-1e9}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(recordPath(dir), data, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := loadRecord(dir)
		if err != nil {
			return
		}
		if err := loaded.save(dir); err != nil {
			t.Fatal(err)
		}
		if again, err := loadRecord(dir); err != nil || again != loaded {
			t.Fatalf("%+v became %+v: %v", loaded, again, err)
		}
	})
}
