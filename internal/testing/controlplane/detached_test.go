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

package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/testing/process"
)

// The helper is this test binary run again: a process whose end a test can watch.
const (
	helperDir  = "CONTROLPLANE_TEST_DIR"
	helperMode = "CONTROLPLANE_TEST_MODE"
	detached   = "detached" // start detached and end
	attached   = "attached" // start, say so, and wait to be killed
)

// patience is for what takes a moment on a busy machine.
const patience = time.Minute

func runHelper() bool {
	mode := os.Getenv(helperMode)
	if mode == "" {
		return false
	}
	c, err := Start(context.Background(), Config{Dir: os.Getenv(helperDir), UnsafeNoFsync: true, Detached: mode == detached})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if mode == attached {
		fmt.Println(c.etcd.PID(), c.apiServer.PID())
		time.Sleep(time.Hour) // the test kills it
	}
	return true
}

func helper(t *testing.T, mode, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperMode+"="+mode, helperDir+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// pids returns the process ids by program; a program that does not run is left out.
func pids(dir string) map[string]int {
	running := map[string]int{}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager"} {
		p := &process.Program{Path: name, Dir: dir, Detached: true}
		if pid := p.PID(); pid != 0 {
			running[name] = pid
		}
	}
	return running
}

func TestDetachedIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	g := NewWithT(t)
	dir := t.TempDir()
	t.Cleanup(func() { NewWithT(t).Expect(StopDetached(dir)).To(Succeed()) })

	g.Expect(helper(t, detached, dir).Run()).To(Succeed())
	first := pids(dir)
	g.Expect(first).To(And(HaveLen(2), HaveKey("etcd"), HaveKey("kube-apiserver")), "they outlive the process that started them")

	cfg := Config{Dir: dir, UnsafeNoFsync: true, Detached: true}
	c, err := Start(t.Context(), cfg)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pids(dir)).To(Equal(first), "what runs is taken up")
	createConfigMap(t, c, "kept")

	g.Expect(c.KillAPIServer()).To(Succeed())
	g.Expect(pids(dir)).NotTo(HaveKey("kube-apiserver"))
	c, err = Start(t.Context(), cfg)
	g.Expect(err).NotTo(HaveOccurred())
	second := pids(dir)
	g.Expect(second).To(HaveKeyWithValue("etcd", first["etcd"]), "only what died is started")
	g.Expect(second["kube-apiserver"]).NotTo(Or(BeZero(), Equal(first["kube-apiserver"])))
	expectConfigMap(t, c.RESTConfig(), "kept")

	cfg.ExtraAPIServerArgs = []string{"--v=1"}
	c, err = Start(t.Context(), cfg)
	g.Expect(err).NotTo(HaveOccurred())
	third := pids(dir)
	g.Expect(third).To(HaveKeyWithValue("etcd", first["etcd"]))
	g.Expect(third["kube-apiserver"]).NotTo(Or(BeZero(), Equal(second["kube-apiserver"])), "other arguments need a restart")
	expectConfigMap(t, c.RESTConfig(), "kept")

	g.Expect(StopDetached(dir)).To(Succeed())
	g.Expect(pids(dir)).To(BeEmpty())
	g.Expect(StopDetached(dir)).To(Succeed(), "with nothing left to stop")
}

func TestAttachedDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	g := NewWithT(t)
	cmd := helper(t, attached, t.TempDir())
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Start()).To(Succeed())
	var etcd, apiServer int
	_, err = fmt.Fscan(out, &etcd, &apiServer)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]string{commandLine(etcd), commandLine(apiServer)}).To(HaveEach(ContainSubstring("--")), "they run")

	g.Expect(cmd.Process.Kill()).To(Succeed())
	_ = cmd.Wait() // says that it was killed
	for _, pid := range []int{etcd, apiServer} {
		g.Eventually(commandLine).WithArguments(pid).WithTimeout(patience).Should(BeEmpty())
	}
}

// commandLine is empty when the process has ended.
func commandLine(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(data)
}
