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
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/edgesync/edgesync/internal/testing/fleet"
)

var _ = Describe("The disk of a node", func() {
	It("may be full: nothing is lost, and all goes on once there is room", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.join(ctx, "a", fleet.AgentOptions{})
		identity, err := os.ReadFile(filepath.Join(n.StateDir(), "identity.pem"))
		Expect(err).NotTo(HaveOccurred())
		mountSmall(n.StateDir())
		writeFile(n.StateDir(), "identity.pem", string(identity))
		n.start(ctx)
		kept := f.configMap("kept", "old")
		sync := f.sync("all", f.configMaps())
		create(ctx, kept, sync)
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 1)

		filler := fill(n.StateDir())
		for i := range 4 {
			create(ctx, f.configMap("large-"+text(i, 8), text(i, 100_000)))
		}
		Eventually(statusOf).WithContext(ctx).WithArguments(sync).Should(SatisfyAll(
			HaveField("Failures", ContainElement(SatisfyAll(
				HaveField("Reason", "StoreFailed"), HaveField("Message", ContainSubstring("no space left"))))),
			haveCondition("Synced", metav1.ConditionFalse, "Failed", "")))
		n.has(ctx, "Synced", metav1.ConditionFalse, "Failed", "")
		Eventually(n.statusText).WithContext(ctx).Should(MatchRegexp(`In sync: +no: .*no space left`))
		Expect(n.fileOf(f.configMaps().named("kept"))).To(ContainSubstring("key: old"))

		Expect(os.Remove(filler)).To(Succeed())
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 5)
		n.becomesInSync(ctx)
	})

	It("may be full of objects: what cannot be applied is named, and applied once there is room", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.join(ctx, "a", fleet.AgentOptions{})
		mountSmall(n.ObjectsDir())
		n.start(ctx)
		kept := f.configMap("kept", "old")
		sync := f.sync("all", f.configMaps())
		create(ctx, kept, sync)
		n.becomesMirrorOf(ctx, f.configMaps())

		filler := fill(n.ObjectsDir())
		change(ctx, kept, func(c *corev1.ConfigMap) { c.Data["key"] = text(1, 100_000) })
		Eventually(statusOf).WithContext(ctx).WithArguments(sync).Should(HaveField("Failures", ConsistOf(SatisfyAll(
			HaveField("Reason", "ApplyFailed"), HaveField("Message", ContainSubstring("no space left on device"))))))
		Eventually(n.statusText).WithContext(ctx).Should(ContainSubstring("no space left on device"))
		Expect(n.fileOf(f.configMaps().named("kept"))).To(ContainSubstring("key: old"), "a file is replaced as a whole")

		Expect(os.Remove(filler)).To(Succeed())
		n.becomesMirrorOf(ctx, f.configMaps())
		becomesSynced(ctx, sync, 1, 1)
	})

	It("may damage the store: the agent says what to do, and that helps", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		objects := f.createMany(ctx, 20, func(i int) string { return text(i, 1024) })
		create(ctx, f.sync("all", f.configMaps()))
		n.becomesMirrorOf(ctx, f.configMaps())
		n.stop()

		store := filepath.Join(n.StateDir(), "store.db")
		damage(store)
		Expect(n.Start(ctx)).To(MatchError(SatisfyAll(
			ContainSubstring("the store is damaged"), ContainSubstring(store),
			ContainSubstring("move the file away and start it again"))))
		Expect(n.statusText(ctx)).To(ContainSubstring("move the file away and start it again"))

		change(ctx, objects[0], func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		Expect(os.Rename(store, store+".damaged")).To(Succeed())
		n.start(ctx)
		n.becomesMirrorOf(ctx, f.configMaps())
		n.becomesInSync(ctx)
	})
})

// statusText is what edge-agent status prints, for people, whether all is well or not.
func (n *node) statusText(ctx SpecContext) (string, error) {
	out, err := exec.CommandContext(ctx, n.Path, "status", "--state-dir="+n.StateDir()).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return string(out), err
}

// mountSmall puts a file system of 2 MiB in the place of a directory.
func mountSmall(dir string) {
	GinkgoHelper()
	if os.Getuid() != 0 {
		Skip("mounting a small file system takes root")
	}
	Expect(os.MkdirAll(dir, 0o700)).To(Succeed())
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		Skip("a small file system cannot be mounted here: " + err.Error())
	}
	DeferCleanup(func() { Expect(syscall.Unmount(dir, syscall.MNT_DETACH)).To(Succeed()) })
}

// fill leaves no room in the file system of a directory.
func fill(dir string) (filler string) {
	GinkgoHelper()
	filler = filepath.Join(dir, "filler")
	file, err := os.Create(filler)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	Expect(err).To(MatchError(syscall.ENOSPC))
	return filler
}

// damage overwrites the middle of a file.
func damage(path string) {
	GinkgoHelper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	info, err := file.Stat()
	Expect(err).NotTo(HaveOccurred())
	for offset := int64(4096) * 2; offset < info.Size(); offset += 4096 {
		_, err = file.WriteAt([]byte("this is not what was written here"), offset+1000)
		Expect(err).NotTo(HaveOccurred())
	}
}
