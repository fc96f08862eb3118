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
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		match   Match
		matches []object.Key
		not     []object.Key
	}{
		"everything": {Match{}, []object.Key{configMapKey, deploymentKey, namespaceKey}, nil},
		"kinds": {
			Match{Kinds: []string{"ConfigMap", "Deployment.apps"}},
			[]object.Key{configMapKey, deploymentKey},
			[]object.Key{secretKey, {Group: "example.com", Kind: "ConfigMap"}, {Kind: "Deployment"}},
		},
		"namespaces": {
			Match{Namespaces: []string{"shop"}},
			[]object.Key{configMapKey, deploymentKey},
			[]object.Key{namespaceKey, {Kind: "ConfigMap", Namespace: "other", Name: "settings"}},
		},
		"both": {
			Match{Kinds: []string{"ConfigMap"}, Namespaces: []string{"shop"}},
			[]object.Key{configMapKey},
			[]object.Key{secretKey, {Kind: "ConfigMap", Namespace: "other", Name: "settings"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, key := range test.matches {
				NewWithT(t).Expect(test.match.Matches(key)).To(BeTrue(), key.String())
			}
			for _, key := range test.not {
				NewWithT(t).Expect(test.match.Matches(key)).To(BeFalse(), key.String())
			}
		})
	}
}

func TestNewRoutes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	directory := &DirectoryConfig{Path: t.TempDir()}
	routes, err := NewRoutes([]TargetConfig{
		{Name: "files", Directory: directory, Match: Match{Kinds: []string{"ConfigMap"}}},
		{Name: "k3s", Kubernetes: &KubernetesConfig{Kubeconfig: "/etc/rancher/k3s/k3s.yaml"}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(routes).To(HaveLen(2))
	g.Expect(routes[0].Target.Name()).To(Equal("files"))
	g.Expect(routes[0].Match.Matches(secretKey)).To(BeFalse())
	g.Expect(routes[1].Target.Name()).To(Equal("k3s"))

	for message, configs := range map[string][]TargetConfig{
		"needs a name":           {{Directory: directory}},
		`have the name "a"`:      {{Name: "a", Directory: directory}, {Name: "a", Directory: directory}},
		`target "none": exactly`: {{Name: "none"}},
		`target "both": exactly`: {{Name: "both", Directory: directory, Kubernetes: &KubernetesConfig{}}},
	} {
		_, err := NewRoutes(configs)
		g.Expect(err).To(MatchError(ContainSubstring(message)))
	}
}
