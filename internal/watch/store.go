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

package watch

import (
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// store is what a reflector fills. It passes everything on to the table of the kind
// and keeps nothing, so that each object is in memory once, and encoded.
//
// None of its methods returns an error: the reflector would log the object with it.
type store struct {
	table    *desired.Table
	resource string
	log      logr.Logger
	// listed is called after each complete list.
	listed func()
}

var (
	_ cache.TransformingStore      = (*store)(nil)
	_ cache.ReflectorBookmarkStore = (*store)(nil)
)

// Add takes over a new object.
func (s *store) Add(obj any) error {
	if item, ok := s.encode(obj); ok {
		s.table.Upsert(item)
	}
	return nil
}

// Update takes over a changed object.
func (s *store) Update(obj any) error { return s.Add(obj) }

// Delete takes over a deletion. The object is as it was last, but with the resource
// version of the deletion.
func (s *store) Delete(obj any) error {
	if item, ok := s.encode(obj); ok {
		s.table.Delete(item.Object.Key, item.Object.Version)
	}
	return nil
}

// Replace takes over a complete list.
func (s *store) Replace(list []any, version string) error {
	items := make([]desired.Item, 0, len(list))
	for _, obj := range list {
		if item, ok := s.encode(obj); ok {
			items = append(items, item)
		}
	}
	s.table.Replace(items, version)
	s.listed()
	return nil
}

// Bookmark takes over that nothing else has changed up to a resource version.
func (s *store) Bookmark(version string) error {
	s.table.Bookmark(version)
	return nil
}

// Resync does nothing: the table holds all there is.
func (s *store) Resync() error { return nil }

// Transformer has the reflector encode the objects of a list as they arrive, so that
// they are not all held in their large form until the list is complete.
func (s *store) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		item, _ := s.encode(obj)
		return item, nil
	}
}

// encode is false for what cannot be delivered.
func (s *store) encode(obj any) (desired.Item, bool) {
	if item, ok := obj.(desired.Item); ok {
		return item, item.Object != nil
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return desired.Item{}, false
	}
	encoded, err := object.Encode(u, s.resource)
	if err != nil {
		s.log.Error(err, "An object cannot be encoded, so it is not delivered", "namespace", u.GetNamespace(), "name", u.GetName())
		return desired.Item{}, false
	}
	return desired.Item{Object: encoded, Labels: labels.Set(u.GetLabels())}, true
}
