package controlplane

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestMissingAssetsSayHowToGetThem(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(assetsEnv, t.TempDir())
	_, err := Assets()
	g.Expect(err).To(MatchError(And(ContainSubstring("etcd"), ContainSubstring("make kube"), ContainSubstring(assetsEnv))))
}

func TestAssetsDefaultToTheModulesOwn(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(assetsEnv, "")
	root := t.TempDir()
	dir := filepath.Join(root, "bin", "kube")
	below := filepath.Join(root, "internal", "deep")
	for _, d := range []string{dir, below} {
		g.Expect(os.MkdirAll(d, 0o755)).To(Succeed())
	}
	g.Expect(os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o644)).To(Succeed())
	for _, name := range []string{"etcd", "kube-apiserver"} {
		g.Expect(os.WriteFile(filepath.Join(dir, name), nil, 0o755)).To(Succeed())
	}
	t.Chdir(below)
	got, err := Assets()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(filepath.EvalSymlinks(got)).To(Equal(must(filepath.EvalSymlinks(dir))))
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}
