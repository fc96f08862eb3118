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

package store

import (
	"bytes"
	"testing"
	"time"

	"github.com/edgesync/edgesync/internal/object"
)

func FuzzDecodeEntry(f *testing.F) {
	entry := Entry{Record: retained(configMap("x", "uid", "12", "content")), State: Failed, Message: "no", Revision: 300, Since: time.Unix(1<<40, 0)}
	f.Add(encodeEntry(&entry))
	f.Add(encodeEntry(&Entry{State: Pending, Since: time.Unix(0, 0)}))
	f.Add([]byte{})
	f.Add([]byte{entryFormat, 2, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := decodeEntry(object.Key{Kind: "ConfigMap", Name: "x"}, data)
		if err != nil {
			return
		}
		again, err := decodeEntry(entry.Key, encodeEntry(&entry))
		if err != nil {
			t.Fatalf("%+v cannot be decoded once encoded: %v", entry, err)
		}
		if !bytes.Equal(encodeEntry(&again), encodeEntry(&entry)) {
			t.Fatalf("%+v became %+v", entry, again)
		}
	})
}

func FuzzDecodeKey(f *testing.F) {
	f.Add("", "ConfigMap", "shop", "settings")
	f.Add("apps", "Deployment", "", "x\x00y")
	f.Fuzz(func(t *testing.T, group, kind, namespace, name string) {
		record := Record{Object: object.Object{Key: object.Key{Group: group, Kind: kind, Namespace: namespace, Name: name}}}
		if validate(&record) != nil {
			return
		}
		key, err := decodeKey(encodeKey(record.Key))
		if err != nil || key != record.Key {
			t.Fatalf("%q became %q: %v", record.Key, key, err)
		}
	})
}

// A damaged file may hold anything under anything.
func FuzzDecode(f *testing.F) {
	entry := Entry{Record: configMap("x", "uid", "12", "content"), State: Applied}
	f.Add(encodeKey(entry.Key), encodeEntry(&entry))
	f.Add([]byte("a\x00b\x00c"), encodeEntry(&entry))
	f.Add([]byte("\x00\x00\x00\x00"), []byte{entryFormat})
	f.Fuzz(func(t *testing.T, rawKey, value []byte) {
		entry, err := decode(rawKey, value)
		if err != nil {
			return
		}
		if !bytes.Equal(encodeKey(entry.Key), rawKey) {
			t.Fatalf("the key %q became %q", rawKey, entry.Key)
		}
	})
}
