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
	"fmt"
	"os"
	"path/filepath"
)

// assetsEnv is where the tools of the Kubernetes world expect the directory's name.
const assetsEnv = "KUBEBUILDER_ASSETS"

// Assets returns the directory of the control plane's programs: $KUBEBUILDER_ASSETS,
// or bin/kube of the Go module that the working directory lies in. It fails when
// etcd or kube-apiserver is not there, and says how to get them.
func Assets() (string, error) {
	dir := os.Getenv(assetsEnv)
	if dir == "" {
		root, err := ModuleRoot()
		if err != nil {
			return "", fmt.Errorf("set %s to the directory of etcd and kube-apiserver: %w", assetsEnv, err)
		}
		dir = filepath.Join(root, "bin", "kube")
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := requireProgram(filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func requireProgram(path string) error {
	if info, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: build it with `make kube`, or set %s to a directory that has it", err, assetsEnv)
	} else if info.Mode()&0o111 == 0 || info.IsDir() {
		return fmt.Errorf("%s is not an executable file", path)
	}
	return nil
}

// ModuleRoot returns the directory of the Go module that the working directory lies in.
func ModuleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no go.mod in or above %s", start)
		}
	}
}
