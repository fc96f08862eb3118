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
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Whatever the API server says that an object is, encoding it does not fail, does not
// change it, and changes nothing the second time.
func FuzzEncode(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"b","uid":"c","resourceVersion":"7"},"data":{"k":"v"}}`,
		`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"},"managedFields":[{}],"generation":3},"status":{}}`,
		`{"metadata":{"annotations":["no","map"]},"spec":{"status":1.5}}`,
		`{"metadata":[],"kind":5,"apiVersion":{"a":"b"}}`,
		`{"metadata":null,"":"","\u0000":"\ufffd<&>"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var content, before map[string]any
		if json.Unmarshal(data, &content) != nil || content == nil {
			return
		}
		_ = json.Unmarshal(data, &before)
		encoded, err := Encode(&unstructured.Unstructured{Object: content}, "things")
		if err != nil {
			t.Fatal(err)
		}
		if !equalJSON(t, content, before) {
			t.Fatalf("%s was changed", data)
		}
		var sent map[string]any
		if err := json.Unmarshal(encoded.Payload, &sent); err != nil {
			t.Fatal(err)
		}
		if _, ok := sent["status"]; ok {
			t.Fatalf("the status is in %s", encoded.Payload)
		}
		again, err := Encode(&unstructured.Unstructured{Object: sent}, "things")
		if err != nil || again.Digest != encoded.Digest {
			t.Fatalf("%s became %s: %v", encoded.Payload, again.Payload, err)
		}
	})
}

func equalJSON(t *testing.T, a, b any) bool {
	t.Helper()
	left, errA := json.Marshal(a)
	right, errB := json.Marshal(b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	return string(left) == string(right)
}
