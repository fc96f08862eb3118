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

package object

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

func read(t *testing.T, path string) *unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(asJSON, &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestEncodeGoldens(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/encode/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			u := read(t, input)
			before := u.DeepCopy()
			o, err := Encode(u, "widgets")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(u).To(Equal(before), "the input is left alone")
			golden := strings.TrimSuffix(input, ".in.yaml") + ".golden.json"
			if *update {
				g.Expect(os.WriteFile(golden, append(o.Payload, '\n'), 0o600)).To(Succeed())
			}
			want, err := os.ReadFile(golden)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(o.Payload) + "\n").To(Equal(string(want)))
			g.Expect(o.Digest).To(Equal(DigestOf(o.Payload)))
			g.Expect(o.Resource).To(Equal("widgets"))
		})
	}
}

func TestEncodeTellsTheObjectApart(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	o, err := Encode(read(t, "testdata/encode/stripped.in.yaml"), "deployments")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o.Key).To(Equal(Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}))
	g.Expect(o.APIVersion).To(Equal("apps/v1"))
	g.Expect(o.UID).To(Equal("6d4deb53-0d09-478e-8521-5f0a594c0cbb"))
	g.Expect(o.Version).To(Equal("48213"))
}

// What does not travel makes no new content, and everything else does.
func TestEncodeDigest(t *testing.T) {
	t.Parallel()
	digest := func(change func(content map[string]any)) Digest {
		u := read(t, "testdata/encode/stripped.in.yaml")
		change(u.Object)
		o, err := Encode(u, "deployments")
		if err != nil {
			t.Fatal(err)
		}
		return o.Digest
	}
	set := func(value any, path ...string) func(map[string]any) {
		return func(content map[string]any) {
			if err := unstructured.SetNestedField(content, value, path...); err != nil {
				t.Fatal(err)
			}
		}
	}
	original := digest(func(map[string]any) {})
	for name, change := range map[string]func(map[string]any){
		"status":            set(int64(9), "status", "replicas"),
		"no status":         func(content map[string]any) { delete(content, "status") },
		"resource version":  set("99", "metadata", "resourceVersion"),
		"generation":        set(int64(99), "metadata", "generation"),
		"managed fields":    set([]any{}, "metadata", "managedFields"),
		"last applied":      set("x", "metadata", "annotations", lastAppliedAnnotation),
		"another self link": set("x", "metadata", "selfLink"),
	} {
		if digest(change) != original {
			t.Errorf("%s makes another digest", name)
		}
	}
	for name, change := range map[string]func(map[string]any){
		"spec":             set(int64(4), "spec", "replicas"),
		"label":            set("db", "metadata", "labels", "tier"),
		"annotation":       set("x", "metadata", "annotations", "example.com/kept"),
		"API version":      set("apps/v2", "apiVersion"),
		"being deleted":    set("2026-01-02T03:04:06Z", "metadata", "deletionTimestamp"),
		"status elsewhere": set("x", "spec", "status"),
	} {
		if digest(change) == original {
			t.Errorf("%s makes no other digest", name)
		}
	}
}

func TestEncodeRefusesWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	u := read(t, "testdata/encode/only-annotation.in.yaml")
	u.Object["weight"] = math.NaN()
	_, err := Encode(u, "configmaps")
	g.Expect(err).To(MatchError(ContainSubstring("encode ConfigMap shop/settings")))
}

func BenchmarkEncode(b *testing.B) {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "settings", "namespace": "shop", "uid": "1", "resourceVersion": "7"},
		"data":     map[string]any{"value": strings.Repeat("x", 1024)},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(u, "configmaps"); err != nil {
			b.Fatal(err)
		}
	}
}
