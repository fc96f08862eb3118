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

package mirror

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func object(name, version, value string) map[string]any {
	metadata := map[string]any{"name": name}
	if version != "" {
		metadata["resourceVersion"] = version
	}
	return map[string]any{"kind": "ConfigMap", "metadata": metadata, "data": map[string]any{"key": value}}
}

func TestDifferencesAreNamed(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	want := Content{"a": object("a", "", "1"), "b": object("b", "", "1")}
	g.Expect(Differences(Content{"a": object("a", "", "1"), "b": object("b", "", "1")}, want)).To(BeEmpty())
	g.Expect(Differences(Content{"a": object("a", "", "2"), "c": object("c", "", "1")}, want)).To(ConsistOf(
		HavePrefix("a is "), "b is missing", "c should not be there"))
}

func TestFilesAreReadWithoutTheirVersion(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.FromSlash(Path("shop", "configmaps", "", "settings")))
	g.Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
	text := "kind: ConfigMap\nmetadata: {name: settings, resourceVersion: '7'}\ndata: {key: \"1\"}\n"
	g.Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	g.Expect(Files(dir)).To(Equal(Content{"shop/configmaps/settings.yaml": object("settings", "", "1")}))
	g.Expect(Travelling(object("settings", "7", "1"))).To(Equal(object("settings", "", "1")))

	g.Expect(os.WriteFile(path+".tmp", []byte("half"), 0o600)).To(Succeed())
	_, err := Files(dir)
	g.Expect(err).To(HaveOccurred(), "what is left behind is seen")
}
