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

package simulation

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/edgesync/edgesync/internal/object"
)

// kind is one API version of a kind, with the watch that each manager has of it.
type kind struct {
	schema.GroupVersionKind
	resource string
}

// kinds are of three ranks, one cluster-scoped, one in two API versions. Versions of
// one kind stand next to each other, the most stable first.
var kinds = []kind{
	{schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, "customresourcedefinitions"},
	{schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "configmaps"},
	{schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}, "widgets"},
	{schema.GroupVersionKind{Group: "example.com", Version: "v1beta1", Kind: "Widget"}, "widgets"},
}

// keys are all objects that can ever exist.
var keys = func() []object.Key {
	var all []object.Key
	add := func(k kind, namespace string, count int) {
		for i := range count {
			all = append(all, object.Key{Group: k.Group, Kind: k.Kind, Namespace: namespace, Name: "x" + strconv.Itoa(i)})
		}
	}
	add(kinds[0], "", 3)
	add(kinds[1], "a", 13)
	add(kinds[1], "b", 3)
	add(kinds[2], "a", 3)
	return all
}()

// record is one version of one object.
type record struct {
	key      object.Key
	uid      string
	version  string
	tier     string
	body     string
	status   int
	poisoned bool
	encoded  map[schema.GroupVersionKind]*object.Object
}

const poison = "poison"

func (r *record) labels() labels.Set { return labels.Set{"tier": r.tier} }

// object is the record as an API version gives it.
func (r *record) object(k kind) *object.Object {
	if encoded := r.encoded[k.GroupVersionKind]; encoded != nil {
		return encoded
	}
	spec := map[string]any{"body": r.body}
	if r.poisoned {
		spec[poison] = true
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec, "status": map[string]any{"n": int64(r.status)}}}
	u.SetGroupVersionKind(k.GroupVersionKind)
	u.SetNamespace(r.key.Namespace)
	u.SetName(r.key.Name)
	u.SetResourceVersion(r.version)
	u.SetLabels(r.labels())
	encoded, err := object.Encode(u, k.resource)
	if err != nil {
		panic(err)
	}
	// Set only now: that another object has another digest is not to be relied on.
	encoded.UID = r.uid
	r.encoded[k.GroupVersionKind] = encoded
	return encoded
}

func isPoisoned(payload []byte) bool { return strings.Contains(string(payload), poison) }

// change is one entry of the log of the API server.
type change struct {
	revision int
	key      object.Key
	// record is nil when the object was deleted.
	record *record
	// restore: the whole state was replaced by an earlier one.
	restore bool
}

// past is what an object was from a position of the log on.
type past struct {
	from   int
	record *record
}

// api is the API server with all that it ever was. A position counts entries of its
// log and never goes back, while the revision does when a backup is restored.
type api struct {
	versions versionStyle
	log      []change
	history  map[object.Key][]past
	revision int
	uids     int
	// restored is the position after the last restore.
	restored int
	restores int
}

// versionStyle is how revisions are written.
type versionStyle int

const (
	numbers versionStyle = iota
	// someOpaque: now and then an object has a version that cannot be compared.
	someOpaque
	allOpaque
)

func newAPI(style versionStyle) *api {
	return &api{versions: style, history: map[object.Key][]past{}, revision: 8}
}

// objectVersion is the version of an object written at a revision.
func (a *api) objectVersion(revision int) string {
	if a.versions == allOpaque || a.versions == someOpaque && revision%4 == 0 {
		return fmt.Sprintf("opaque-%d", revision)
	}
	return strconv.Itoa(revision)
}

// listVersion is the version of a list, a bookmark or a deletion.
func (a *api) listVersion(revision int) string {
	if a.versions == allOpaque {
		return fmt.Sprintf("opaque-%d", revision)
	}
	return strconv.Itoa(revision)
}

func (a *api) now() int { return len(a.log) }

// at is an object at a position, nil if it did not exist.
func (a *api) at(key object.Key, position int) *record {
	history := a.history[key]
	i := sort.Search(len(history), func(i int) bool { return history[i].from > position })
	if i == 0 {
		return nil
	}
	return history[i-1].record
}

func (a *api) revisionAt(position int) int {
	if position == 0 {
		return 8
	}
	return a.log[position-1].revision
}

func (a *api) write(key object.Key, r *record) {
	a.revision++
	if r != nil {
		r.key, r.version, r.encoded = key, a.objectVersion(a.revision), map[schema.GroupVersionKind]*object.Object{}
	}
	a.append(change{revision: a.revision, key: key, record: r})
	a.history[key] = append(a.history[key], past{from: a.now(), record: r})
}

func (a *api) append(c change) { a.log = append(a.log, c) }

func (a *api) newUID() string {
	a.uids++
	return "uid-" + strconv.Itoa(a.uids)
}

// restore goes back to a position: revisions after it are used again.
func (a *api) restore(position int) {
	a.revision = a.revisionAt(position)
	a.append(change{revision: a.revision, restore: true})
	for _, key := range keys {
		a.history[key] = append(a.history[key], past{from: a.now(), record: a.at(key, position)})
	}
	a.restored = a.now()
	a.restores++
}

// wrote reports whether the API server has written a version of an object since the
// last restore.
func (a *api) wrote(o *object.Object) bool {
	for _, c := range a.log[a.restored:] {
		if c.record == nil || c.key != o.Key {
			continue
		}
		for _, encoded := range c.record.encoded {
			if encoded == o {
				return true
			}
		}
	}
	return false
}
