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
