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
	"testing"

	. "github.com/onsi/gomega"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	for argument, want := range map[string]Key{
		"ConfigMap/shop/settings":        {Kind: "ConfigMap", Namespace: "shop", Name: "settings"},
		"v1/ConfigMap/shop/settings":     {Kind: "ConfigMap", Namespace: "shop", Name: "settings"},
		"apps/Deployment/shop/till":      {Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "till"},
		"apps/v1/Deployment/shop/till":   {Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "till"},
		"x.io/v1beta1/Gizmo/g":           {Group: "x.io", Kind: "Gizmo", Name: "g"},
		"x.io/Gizmo/g":                   {Group: "x.io", Kind: "Gizmo", Name: "g"},
		"v1/Namespace/shop":              {Kind: "Namespace", Name: "shop"},
		"rbac.io/ClusterRole/Upper:Case": {Group: "rbac.io", Kind: "ClusterRole", Name: "Upper:Case"},
	} {
		got, ok := ParseKey(argument)
		NewWithT(t).Expect(ok).To(BeTrue(), argument)
		NewWithT(t).Expect(got).To(Equal(want), argument)
	}
	for _, argument := range []string{
		"", "/", "settings", "cm/settings", "ConfigMap/settings", "ConfigMap//settings", "ConfigMap", "v1/ConfigMap",
		"a/b/v1/Kind/ns/name", "apps/v1/Deployment/a/b/c", "x.io/y.io/Gizmo/g",
	} {
		_, ok := ParseKey(argument)
		NewWithT(t).Expect(ok).To(BeFalse(), argument)
	}
}

// Whatever somebody types names one object in full, or none.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"ConfigMap/shop/settings", "apps/v1/Deployment/shop/till", "a//B", "É/x/y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		key, ok := ParseKey(argument)
		if !ok {
			return
		}
		if key.Kind == "" || key.Name == "" {
			t.Fatalf("%q is %+v", argument, key)
		}
		if again, ok := ParseKey(key.String()); key.Namespace != "" && (!ok || again != key) {
			t.Fatalf("%q is %+v, and that is %+v", argument, key, again)
		}
	})
}
