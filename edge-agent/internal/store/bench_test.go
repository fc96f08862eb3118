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
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const benchObjects = 2000

// benchRecord has a payload of 1 KB and, like a ConfigMap of the API server, a name
// that follows the others'.
func benchRecord(name, version int) Record {
	payload := fmt.Sprintf("%d/%d %s", name, version, strings.Repeat("x", 1024))[:1024]
	return configMap(fmt.Sprintf("settings-%05d", name), "0c9c0a3e-5d0b-4a53-9a55-1e7b2f8f6c11", fmt.Sprint(version), payload)
}

func benchOps(first, n, version int) []Op {
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = put(benchRecord((first+i)%benchObjects, version))
	}
	return ops
}

func fullStore(b *testing.B) *Store {
	s := newStore(b, Options{})
	for first := 0; first < benchObjects; first += 256 {
		commit(b, s, benchOps(first, min(256, benchObjects-first), 1)...)
	}
	return s
}

func BenchmarkCommit(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			s := fullStore(b)
			for i := 0; b.Loop(); i++ {
				commit(b, s, benchOps(i*batch, batch, i+2)...)
			}
			reportFile(b, s)
		})
	}
}

func BenchmarkSetStates(b *testing.B) {
	for _, batch := range []int{1, 256} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			s := fullStore(b)
			changes := make([]StateChange, batch)
			for i := 0; b.Loop(); i++ {
				for k := range changes {
					entry, _, _ := s.Peek(benchRecord((i*batch+k)%benchObjects, 0).Key)
					changes[k] = StateChange{Key: entry.Key, Revision: entry.Revision, State: Failed, Message: fmt.Sprint(i)}
				}
				if err := s.SetStates(changes); err != nil {
					b.Fatal(err)
				}
			}
			reportFile(b, s)
		})
	}
}

func reportFile(b *testing.B, s *Store) {
	info, err := os.Stat(s.path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB-file")
}

func BenchmarkOpen(b *testing.B) {
	s := fullStore(b)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		reopened, err := Open(filepath.Clean(s.path), Options{})
		if err != nil {
			b.Fatal(err)
		}
		_ = reopened.Close()
	}
}

func BenchmarkInventoryDigest(b *testing.B) {
	s := fullStore(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.InventoryDigest(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := fullStore(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		get(b, s, benchRecord(i%benchObjects, 0).Key)
	}
}
