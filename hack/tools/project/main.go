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

// Command project loads PROJECT with kubebuilder's own code and checks that it
// lists exactly the APIs that have a CRD, with the same scope.
//
//	project <PROJECT> <directory of the CRDs>
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/afero"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/kubebuilder/v4/pkg/config/store/yaml"
	_ "sigs.k8s.io/kubebuilder/v4/pkg/config/v3" // the version that PROJECT has
	"sigs.k8s.io/kubebuilder/v4/pkg/machinery"
	"sigs.k8s.io/kubebuilder/v4/pkg/model/resource"
	k8syaml "sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: project <PROJECT> <directory of the CRDs>")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "PROJECT:", err)
		os.Exit(1)
	}
}

func check(project, crdDir string) error {
	recorded, err := loadProject(project)
	if err != nil {
		return err
	}
	served, err := loadCRDs(crdDir)
	if err != nil {
		return err
	}
	for kind, scope := range served {
		if recorded[kind] != scope {
			return fmt.Errorf("%s is %q in the CRDs and %q in PROJECT", kind, scope, recorded[kind])
		}
		delete(recorded, kind)
	}
	for kind := range recorded {
		return fmt.Errorf("%s has no CRD in %s", kind, crdDir)
	}
	return nil
}

// scopes has the scope of each kind, by "kind.group".
type scopes map[string]apiextensionsv1.ResourceScope

func loadProject(path string) (scopes, error) {
	store := yaml.New(machinery.Filesystem{FS: afero.NewOsFs()})
	if err := store.LoadFrom(path); err != nil {
		return nil, err
	}
	resources, err := store.Config().GetResources()
	if err != nil {
		return nil, err
	}
	kinds := scopes{}
	for _, res := range resources {
		if err := res.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", res.Kind, err)
		}
		if !res.Controller || !res.HasAPI() {
			return nil, fmt.Errorf("%s: api and controller must be set", res.Kind)
		}
		kinds[res.Kind+"."+res.QualifiedGroup()] = scopeOf(res)
	}
	return kinds, nil
}

func scopeOf(res resource.Resource) apiextensionsv1.ResourceScope {
	if res.API.Namespaced {
		return apiextensionsv1.NamespaceScoped
	}
	return apiextensionsv1.ClusterScoped
}

func loadCRDs(dir string) (scopes, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("no CRDs in " + dir)
	}
	kinds := scopes{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := k8syaml.UnmarshalStrict(content, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		kinds[crd.Spec.Names.Kind+"."+crd.Spec.Group] = crd.Spec.Scope
	}
	return kinds, nil
}
