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
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// storeFile makes a closed store of a few dozen records and returns its bytes.
func storeFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		record := configMap(fmt.Sprintf("x%d", i), "uid", "1", strings.Repeat(fmt.Sprint(i), 500))
		commit(t, s, put(record))
		if i%7 == 0 {
			commit(t, s, remove(record))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestADamagedFileIsAClearError(t *testing.T) {
	t.Parallel()
	good := storeFile(t)
	flipped := make([]byte, len(good))
	copy(flipped, good)
	for i := 2 * os.Getpagesize(); i < len(flipped); i += 64 {
		flipped[i] ^= 0xff
	}
	for name, data := range map[string][]byte{
		"not a store":                 []byte(strings.Repeat("apiVersion: v1\n", 2000)),
		"a few bytes":                 []byte("x"),
		"zeros":                       make([]byte, len(good)),
		"cut short":                   good[:len(good)/4],
		"cut after the meta pages":    good[:2*os.Getpagesize()],
		"damaged beyond meta pages":   flipped,
		"one byte of content differs": []byte(strings.ReplaceAll(string(good), strings.Repeat("11", 400), strings.Repeat("11", 399)+"12")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			path := filepath.Join(t.TempDir(), "store.db")
			g.Expect(os.WriteFile(path, data, 0o600)).To(Succeed())
			_, err := Open(path, Options{})
			g.Expect(err).To(MatchError(ErrCorrupt))
			g.Expect(err).To(MatchError(ContainSubstring(path)))
			g.Expect(err).To(MatchError(ContainSubstring("move the file away")))

			g.Expect(os.Remove(path)).To(Succeed())
			s, err := Open(path, Options{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(s.Close()).To(Succeed())
		})
	}
}

// Whatever bytes are damaged, nothing panics, and what can be read was written.
func TestRandomDamageNeverPanics(t *testing.T) {
	t.Parallel()
	good := storeFile(t)
	dir := t.TempDir()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		path := filepath.Join(dir, fmt.Sprintf("%d.db", seed))
		if err := os.WriteFile(path, damage(random, good), 0o600); err != nil {
			t.Fatal(err)
		}
		useDamaged(t, seed, path)
		_ = os.Remove(path)
	}
}

func damage(random *rand.Rand, good []byte) []byte {
	data := append([]byte(nil), good...)
	for range 1 + random.IntN(20) {
		data[random.IntN(len(data))] = byte(random.Uint32())
	}
	if random.IntN(4) == 0 {
		data = data[:random.IntN(len(data))]
	}
	return data
}

func useDamaged(t *testing.T, seed uint64, path string) {
	s, err := Open(path, Options{})
	if err != nil {
		return
	}
	defer func() { _ = s.Close() }()
	var ops []Op
	for i := range 60 {
		entry, exists, err := s.Get(configMap(fmt.Sprintf("x%d", i), "", "", "").Key)
		if err == nil && exists && !entry.State.Tombstone() && string(entry.Payload) != strings.Repeat(fmt.Sprint(i), 500) {
			t.Errorf("seed %d: x%d has a payload that was never written", seed, i)
		}
		ops = append(ops, put(configMap(fmt.Sprintf("y%d", i), "uid", "2", "new")))
	}
	_, _ = s.Commit(ops)
	_, _ = s.Commit(ops[:1])
}
