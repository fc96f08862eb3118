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
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/edgesync/edgesync/internal/object"
)

// Whatever the hub sends as a payload is refused as invalid, or becomes a file that is
// read back as what was written, and an object for the local API server.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v: [\n- yes"}}`,
		`{"apiVersion":"v1","kind":"Service","metadata":{},"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":7,"finalizers":{}},"spec":[]}`,
		`{"apiVersion":"batch/v1","kind":"Job","metadata":{"labels":null},"spec":{"template":{"metadata":{"labels":"x"}}}}`,
		`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"}}}`,
		`{"metadata":{"name":1e400}}`,
		"{\"metadata\":{},\"data\":{\"\x7f\":\"\u0080\u0085\u009f\ufeff\ufffe\U0001fffe\"}}",
		`{"metadata":{},"data":{"a":"0o7","b":"1_000","y":"yes","d":"~","e":"1e3",".inf":"<<","=":"0x1F","2001-01-01":"12:30:45"}}`,
		`{"metadata":[]}`,
		`[]`,
		`null`,
		``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		entry := entryOf(object.Key{Kind: "Any", Name: "a"}, "anies", string(payload))
		content, err := render(entry)
		if (err != nil) != func() bool { _, err := localObject(entry); return err != nil }() {
			t.Fatalf("a directory and an API server do not agree about %q: %v", payload, err)
		}
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v is not called invalid", err)
			}
			return
		}
		read, err := yaml.YAMLToJSON(content)
		if err != nil {
			t.Fatalf("%q became %q: %v", payload, content, err)
		}
		if sent := normal(t, payload); !bytes.Equal(normal(t, read), sent) {
			t.Fatalf("%s became %s", sent, content)
		}
	})
}

// normal is JSON as it is when nobody has changed its values, but for the version, which
// travels beside the payload.
func normal(t *testing.T, text []byte) []byte {
	t.Helper()
	entry := entryOf(object.Key{Kind: "Any", Name: "a"}, "anies", string(text))
	u, err := decodePayload(entry)
	if err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(u.Object)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
