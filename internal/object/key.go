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

// Package object is what both ends of the link mean by an object: its key, its
// version, the bytes that travel, and the fingerprint by which two sides find out
// that they hold the same. It is pure.
package object

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Key identifies an object on one node: its kind without the API version, and its
// name. Namespace is empty for a cluster-scoped object.
type Key struct {
	Group     string
	Kind      string
	Namespace string
	Name      string
}

// GroupKind is the kind of the object that the key names.
func (k Key) GroupKind() schema.GroupKind {
	return schema.GroupKind{Group: k.Group, Kind: k.Kind}
}

// String is [group/]Kind/[namespace/]name.
func (k Key) String() string {
	return joinNonEmpty(k.Group, k.Kind, k.Namespace, k.Name)
}

// Ref is apiVersion/Kind/[namespace/]name, the form used in status.
func (k Key) Ref(apiVersion string) string {
	return joinNonEmpty(apiVersion, k.Kind, k.Namespace, k.Name)
}

func joinNonEmpty(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('/')
		}
		b.WriteString(part)
	}
	return b.String()
}

// Compare orders keys by group, kind, namespace and name.
func (k Key) Compare(other Key) int {
	if c := strings.Compare(k.Group, other.Group); c != 0 {
		return c
	}
	if c := strings.Compare(k.Kind, other.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(k.Namespace, other.Namespace); c != 0 {
		return c
	}
	return strings.Compare(k.Name, other.Name)
}

// Object is one version of one object, encoded once for all the nodes that get it.
// It is immutable and shared.
type Object struct {
	Key
	// APIVersion is the group and version in which Payload is written.
	APIVersion string
	// Resource is the plural name by which the API server serves the kind.
	Resource string
	// UID tells this object from an earlier or later one of the same name.
	UID string
	// Version is the resourceVersion. Order it with Older, never by string.
	Version string
	// Digest is the digest of Payload: two versions with one digest are not worth sending.
	Digest Digest
	// Payload is the canonical JSON of the object: see Encode.
	Payload []byte
}
