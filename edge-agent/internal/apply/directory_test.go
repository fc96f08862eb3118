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

package apply

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

func newDirectory(t testing.TB, config DirectoryConfig) (*Directory, string) {
	t.Helper()
	if config.Path == "" {
		config.Path = filepath.Join(t.TempDir(), "objects")
	}
	d, err := NewDirectory("files", config)
	if err != nil {
		t.Fatal(err)
	}
	return d, config.Path
}

func entryOf(key object.Key, resource, payload string) *store.Entry {
	return &store.Entry{Record: store.Record{Object: object.Object{
		Key: key, Resource: resource, APIVersion: "v1", UID: "uid", Version: "12", Payload: []byte(payload),
	}}}
}

func configMapEntry(name, data string) *store.Entry {
	payload := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"namespace":"shop"},"data":{"key":%q}}`, name, data)
	return entryOf(object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name}, "configmaps", payload)
}

func mustApply(t testing.TB, target Target, entry *store.Entry) (changed bool) {
	t.Helper()
	changed, err := target.Apply(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func mustRemove(t testing.TB, target Target, entry *store.Entry) {
	t.Helper()
	if err := target.Remove(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
}

// tree lists everything below a directory with its mode.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		relative, _ := filepath.Rel(dir, path)
		found = append(found, fmt.Sprintf("%s %v", relative, info.Mode()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDirectoryLayout(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	d, path := newDirectory(t, DirectoryConfig{})
	role := object.Key{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:node"}
	entries := []*store.Entry{configMapEntry("settings", "v"), entryOf(role, "clusterroles", `{"metadata":{"name":"system:node"}}`)}
	for _, entry := range entries {
		g.Expect(mustApply(t, d, entry)).To(BeTrue())
		g.Expect(mustApply(t, d, entry)).To(BeFalse(), "it is there already")
	}
	g.Expect(tree(t, path)).To(Equal([]string{
		"_cluster drwx------",
		"_cluster/clusterroles.rbac.authorization.k8s.io drwx------",
		"_cluster/clusterroles.rbac.authorization.k8s.io/system:node.yaml -rw-------",
		"shop drwx------",
		"shop/configmaps drwx------",
		"shop/configmaps/settings.yaml -rw-------",
	}))
	for _, entry := range entries {
		mustRemove(t, d, entry)
		mustRemove(t, d, entry)
	}
	g.Expect(tree(t, path)).To(BeEmpty())
}

func TestDirectoryContent(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	d, path := newDirectory(t, DirectoryConfig{})
	payload := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","uid":"uid"},"data":{"number":"1","yes":"no","text":"a\nb\n"},"big":9007199254740993}`
	mustApply(t, d, entryOf(configMapKey, "configmaps", payload))
	content, err := os.ReadFile(filepath.Join(path, "shop/configmaps/settings.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(content)).To(Equal(`apiVersion: v1
big: 9007199254740993
data:
  number: "1"
  text: |
    a
    b
  "yes": "no"
kind: ConfigMap
metadata:
  name: settings
  resourceVersion: "12"
  uid: uid
`))
}

func TestDirectoryRepairs(t *testing.T) {
	t.Parallel()
	entry := configMapEntry("settings", "v")
	const file = "shop/configmaps/settings.yaml"
	for name, damage := range map[string]func(path string) error{
		"content of another length": func(path string) error { return os.WriteFile(filepath.Join(path, file), []byte("x"), 0o600) },
		"content of the same length": func(path string) error {
			content, err := os.ReadFile(filepath.Join(path, file))
			content[len(content)-2] = 'X'
			return joinErrors(err, os.WriteFile(filepath.Join(path, file), content, 0o600))
		},
		"mode":         func(path string) error { return os.Chmod(filepath.Join(path, file), 0o644) },
		"missing file": func(path string) error { return os.Remove(filepath.Join(path, file)) },
		"missing tree": os.RemoveAll,
		"a symbolic link": func(path string) error {
			return joinErrors(os.Rename(filepath.Join(path, file), filepath.Join(path, "copy")),
				os.Symlink("../../copy", filepath.Join(path, file)))
		},
		"a temporary file of an attempt that was cut short": func(path string) error {
			return joinErrors(os.Remove(filepath.Join(path, file)), os.WriteFile(filepath.Join(path, temporaryOf(file)), []byte("half"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			d, path := newDirectory(t, DirectoryConfig{})
			mustApply(t, d, entry)
			before, err := os.ReadFile(filepath.Join(path, file))
			g.Expect(err).NotTo(HaveOccurred())

			g.Expect(damage(path)).To(Succeed())
			g.Expect(mustApply(t, d, entry)).To(BeTrue())
			g.Expect(mustApply(t, d, entry)).To(BeFalse())
			info, err := os.Lstat(filepath.Join(path, file))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(info.Mode()).To(Equal(fs.FileMode(0o600)))
			after, err := os.ReadFile(filepath.Join(path, file))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(after).To(Equal(before))
			g.Expect(filepath.Join(path, temporaryOf(file))).NotTo(BeAnExistingFile())
		})
	}
}

func joinErrors(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestDirectoryLeavesFilesOfOthers(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	d, path := newDirectory(t, DirectoryConfig{})
	entry := configMapEntry("settings", "v")
	mustApply(t, d, entry)
	g.Expect(os.WriteFile(filepath.Join(path, "shop/configmaps/notes.txt"), nil, 0o600)).To(Succeed())
	mustRemove(t, d, entry)
	g.Expect(tree(t, path)).To(ContainElement(HavePrefix("shop/configmaps/notes.txt")))
}

func TestDirectoryFileModeIsThatOfTheConfigurationWhateverTheUmask(t *testing.T) {
	// Not parallel: the umask is that of the process.
	g := NewWithT(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	d, path := newDirectory(t, DirectoryConfig{FileMode: "0640"})
	mustApply(t, d, configMapEntry("settings", "v"))
	g.Expect(tree(t, path)).To(Equal([]string{
		"shop drwxr-x---", "shop/configmaps drwxr-x---", "shop/configmaps/settings.yaml -rw-r-----",
	}))
}

func TestDirectoryConfigErrors(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"0400", "9", "rw", "1777", "-1"} {
		_, err := NewDirectory("files", DirectoryConfig{Path: t.TempDir(), FileMode: mode})
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring("octal mode")), mode)
	}
	_, err := NewDirectory("files", DirectoryConfig{})
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("path must be set")))
}

func TestDirectoryRefusesHostileNames(t *testing.T) {
	t.Parallel()
	good := object.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	for name, change := range map[string]func(e *store.Entry){
		"parent as namespace":      func(e *store.Entry) { e.Key.Namespace = ".." },
		"path as namespace":        func(e *store.Entry) { e.Key.Namespace = "../../etc" },
		"cluster as namespace":     func(e *store.Entry) { e.Key.Namespace = clusterDir },
		"path as name":             func(e *store.Entry) { e.Key.Name = "../web" },
		"absolute name":            func(e *store.Entry) { e.Key.Name = "/etc/cron.d/x" },
		"NUL in the name":          func(e *store.Entry) { e.Key.Name = "web\x00" },
		"no name":                  func(e *store.Entry) { e.Key.Name = "" },
		"too long a name":          func(e *store.Entry) { e.Key.Name = strings.Repeat("n", 251) },
		"no resource":              func(e *store.Entry) { e.Resource = "" },
		"parent as resource":       func(e *store.Entry) { e.Resource, e.Key.Group = "..", "" },
		"path as group":            func(e *store.Entry) { e.Key.Group = "x/../.." },
		"content that is no JSON":  func(e *store.Entry) { e.Payload = []byte("apiVersion: v1") },
		"content without metadata": func(e *store.Entry) { e.Payload = []byte("{}") },
		"null":                     func(e *store.Entry) { e.Payload = []byte("null") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			d, path := newDirectory(t, DirectoryConfig{Path: filepath.Join(t.TempDir(), "a", "objects")})
			entry := entryOf(good, "deployments", `{"metadata":{"name":"web"}}`)
			change(entry)
			_, err := d.Apply(t.Context(), entry)
			g.Expect(err).To(MatchError(ErrInvalid))
			g.Expect(d.Remove(t.Context(), entry)).To(Succeed())
			g.Expect(tree(t, filepath.Dir(path))).To(HaveLen(1), "nothing was written")
		})
	}
}

func TestDirectoryTakesTheLongestName(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	d, _ := newDirectory(t, DirectoryConfig{})
	g.Expect(mustApply(t, d, configMapEntry(strings.Repeat("n", maxComponentBytes-len(extension)), "v"))).To(BeTrue())
}

func TestNoSymbolicLinkLeadsOutOfTheDirectory(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	outside := t.TempDir()
	g.Expect(os.MkdirAll(filepath.Join(outside, "configmaps"), 0o700)).To(Succeed())
	d, path := newDirectory(t, DirectoryConfig{})
	g.Expect(os.Symlink(outside, filepath.Join(path, "shop"))).To(Succeed())
	changed, err := d.Apply(t.Context(), configMapEntry("settings", "v"))
	g.Expect(changed).To(BeFalse())
	g.Expect(err).To(MatchError(ContainSubstring("escapes")))
	g.Expect(err).To(MatchError(ContainSubstring(filepath.Join(path, "shop/configmaps/settings.yaml"))))
	g.Expect(err).NotTo(MatchError(ErrInvalid))
	g.Expect(os.WriteFile(filepath.Join(outside, "configmaps/settings.yaml"), nil, 0o600)).To(Succeed())
	g.Expect(d.Remove(t.Context(), configMapEntry("settings", ""))).To(
		MatchError(ContainSubstring(filepath.Join(path, "shop/configmaps/settings.yaml"))))
	g.Expect(filepath.Join(outside, "configmaps/settings.yaml")).To(BeAnExistingFile())
}

// A reader sees the old content or the new one, and no other file that ends in .yaml.
func TestAFileIsReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	d, path := newDirectory(t, DirectoryConfig{})
	const rounds = 50
	content := func(round int) *store.Entry {
		return configMapEntry("settings", strings.Repeat(fmt.Sprint(round%10), 20_000))
	}
	valid := make(map[string]bool)
	for round := range 10 {
		rendered, err := render(content(round))
		g.Expect(err).NotTo(HaveOccurred())
		valid[string(rendered)] = true
	}
	mustApply(t, d, content(0))

	ctx, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for ctx.Err() == nil {
			files, _ := filepath.Glob(filepath.Join(path, "shop/configmaps/*.yaml"))
			if len(files) != 1 {
				t.Errorf("files: %q", files)
			}
			found, err := os.ReadFile(filepath.Join(path, "shop/configmaps/settings.yaml"))
			if err != nil || !valid[string(found)] {
				t.Errorf("read %d bytes: %v", len(found), err)
			}
		}
	})
	for round := range rounds {
		mustApply(t, d, content(round))
	}
	stop()
	reader.Wait()
}

// fastDir is in memory where there is such a file system, for the sake of many rounds.
func fastDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "edgesync")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Directories go and come while others put files into them.
func TestDirectoryConcurrently(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	d, path := newDirectory(t, DirectoryConfig{Path: fastDir(t)})
	var workers sync.WaitGroup
	for worker := range 8 {
		entry := configMapEntry(fmt.Sprintf("x%d", worker), "v")
		workers.Go(func() {
			for range 250 {
				mustApply(t, d, entry)
				mustRemove(t, d, entry)
			}
		})
	}
	workers.Wait()
	g.Expect(tree(t, path)).To(BeEmpty())
}

func TestDirectoryOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting a small tmpfs needs root")
	}
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("skipped: a small tmpfs cannot be mounted here: %v", err)
	}
	defer func() { g.Expect(syscall.Unmount(dir, 0)).To(Succeed()) }()
	d, _ := newDirectory(t, DirectoryConfig{Path: dir})
	small, large := configMapEntry("settings", "v"), configMapEntry("settings", strings.Repeat("v", 100_000))
	mustApply(t, d, small)
	_, err := d.Apply(t.Context(), large)
	g.Expect(err).To(MatchError(syscall.ENOSPC))
	g.Expect(err).NotTo(MatchError(ErrInvalid))
	g.Expect(mustApply(t, d, small)).To(BeFalse(), "the old content is still there")
	g.Expect(tree(t, dir)).To(HaveLen(3), "nothing is left of the attempt")
}

func FuzzFileOf(f *testing.F) {
	f.Add("", "configmaps", "shop", "settings")
	f.Add("apps", "deployments", "", "web")
	f.Add("..", ".", "..", "../../etc/passwd")
	f.Add("", "a.b", "_cluster", "x\x00")
	f.Fuzz(func(t *testing.T, group, resource, namespace, name string) {
		entry := entryOf(object.Key{Group: group, Kind: "Any", Namespace: namespace, Name: name}, resource, "{}")
		file, err := fileOf(entry)
		if err != nil {
			return
		}
		parts := strings.Split(file, "/")
		if len(parts) != 3 || !filepath.IsLocal(file) || !strings.HasSuffix(file, extension) {
			t.Fatalf("%q", file)
		}
		for _, part := range parts {
			if part == "" || len(part) > maxComponentBytes || strings.Contains(part, "\x00") {
				t.Fatalf("%q", file)
			}
		}
		if temporary := temporaryOf(file); filepath.Dir(temporary) != filepath.Dir(file) || strings.HasSuffix(temporary, extension) {
			t.Fatalf("%q", temporary)
		}
	})
}

func BenchmarkDirectoryUpdate(b *testing.B) {
	d, _ := newDirectory(b, DirectoryConfig{})
	for i := 0; b.Loop(); i++ {
		mustApply(b, d, configMapEntry("settings", fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000))))
	}
}

func BenchmarkDirectoryCheck(b *testing.B) {
	d, _ := newDirectory(b, DirectoryConfig{})
	entry := configMapEntry("settings", strings.Repeat("x", 1000))
	for b.Loop() {
		mustApply(b, d, entry)
	}
}
