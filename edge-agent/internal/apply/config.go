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
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/object"
)

// TargetConfig says where to apply which objects: exactly one of Directory and
// Kubernetes is set.
type TargetConfig struct {
	// Name is unique among the targets.
	Name string `json:"name"`
	// Match chooses the objects; the zero value chooses all of them.
	Match      Match             `json:"match,omitzero"`
	Directory  *DirectoryConfig  `json:"directory,omitempty"`
	Kubernetes *KubernetesConfig `json:"kubernetes,omitempty"`
}

// Match chooses objects by kind and namespace: an object must be in both lists, and
// an empty list has everything in it.
type Match struct {
	// Kinds are written Kind or Kind.group: ConfigMap, Deployment.apps.
	Kinds []string `json:"kinds,omitempty"`
	// Namespaces leave out every cluster-scoped object, unless the list is empty.
	Namespaces []string `json:"namespaces,omitempty"`
}

// Matches reports whether an object is chosen.
func (m Match) Matches(key object.Key) bool {
	kind := func(s string) bool { return schema.ParseGroupKind(s) == key.GroupKind() }
	return (len(m.Kinds) == 0 || slices.ContainsFunc(m.Kinds, kind)) &&
		(len(m.Namespaces) == 0 || slices.Contains(m.Namespaces, key.Namespace))
}

// Route is a target and what goes there.
type Route struct {
	Target Target
	Match  Match
}

// NewRoutes makes the targets of a configuration.
func NewRoutes(configs []TargetConfig) ([]Route, error) {
	var routes []Route
	for i := range configs {
		config := &configs[i]
		if slices.ContainsFunc(routes, func(r Route) bool { return r.Target.Name() == config.Name }) {
			return nil, fmt.Errorf("two targets have the name %q", config.Name)
		}
		target, err := newTarget(config)
		if err != nil {
			return nil, fmt.Errorf("target %q: %w", config.Name, err)
		}
		routes = append(routes, Route{Target: target, Match: config.Match})
	}
	return routes, nil
}

func newTarget(config *TargetConfig) (Target, error) {
	switch {
	case config.Name == "":
		return nil, errors.New("a target needs a name")
	case config.Directory != nil && config.Kubernetes == nil:
		return NewDirectory(config.Name, *config.Directory)
	case config.Kubernetes != nil && config.Directory == nil:
		return NewKubernetes(config.Name, *config.Kubernetes)
	default:
		return nil, errors.New("exactly one of directory and kubernetes must be set")
	}
}
