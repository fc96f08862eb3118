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
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

const (
	// clusterDir stands for the namespace of cluster-scoped objects. No namespace can
	// have this name.
	clusterDir = "_cluster"
	extension  = ".yaml"
	// maxComponentBytes is the longest name of a file on the usual file systems.
	maxComponentBytes = 255
)

// fileOf is the path of an object's file below the root. The names come from the
// hub: one that is not a plain file name is ErrInvalid.
func fileOf(entry *store.Entry) (string, error) {
	namespace := entry.Key.Namespace
	if namespace == "" {
		namespace = clusterDir
	}
	resource := entry.Resource
	if entry.Key.Group != "" {
		resource += "." + entry.Key.Group
	}
	components := []string{namespace, resource, entry.Key.Name + extension}
	for _, component := range components {
		if err := checkComponent(component); err != nil {
			return "", err
		}
	}
	if entry.Resource == "" || entry.Key.Name == "" || entry.Key.Namespace == clusterDir {
		return "", fmt.Errorf("%w: no file can be named after it", ErrInvalid)
	}
	return path.Join(components...), nil
}

func checkComponent(name string) error {
	switch {
	case name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("%w: %q cannot be the name of a file", ErrInvalid, name)
	case len(name) > maxComponentBytes:
		return fmt.Errorf("%w: %q is longer than the %d bytes that the name of a file can have", ErrInvalid, name, maxComponentBytes)
	}
	return nil
}

// temporaryOf is the same for every attempt, so that the next one uses up what one
// that was cut short left behind. Being a digest it fits whatever the name is.
func temporaryOf(file string) string {
	digest := sha256.Sum256([]byte(file))
	return path.Join(path.Dir(file), ".edgesync-"+hex.EncodeToString(digest[:8]))
}
