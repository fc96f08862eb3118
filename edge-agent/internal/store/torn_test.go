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
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// metaTxID is where a meta page of bbolt has the number of the transaction that wrote it:
// after the header of the page, and magic, version, page size, flags, root and its
// sequence, free list and high water mark.
const metaTxID = 16 + 4 + 4 + 4 + 4 + 16 + 8 + 8

// newestMeta is where the meta page of the last commit begins. Commits take turns with
// the first two pages.
func newestMeta(data []byte) int {
	page := os.Getpagesize()
	first, second := binary.NativeEndian.Uint64(data[metaTxID:]), binary.NativeEndian.Uint64(data[page+metaTxID:])
	if second > first {
		return page
	}
	return 0
}

// twoCommits is the file of a store after its last commit but one, and after the last one.
func twoCommits(t *testing.T) (before, after []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		commit(t, s, put(configMap(fmt.Sprintf("x%d", i), "uid", "1", strings.Repeat("1", 1000))))
	}
	read := func() []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	before = read()
	var ops []Op
	for i := range 60 {
		ops = append(ops, put(configMap(fmt.Sprintf("x%d", i), "uid", "2", strings.Repeat("2", 1000))))
	}
	commit(t, s, ops...)
	after = read()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return before, after
}

// expectVersion opens a store of these bytes: everything is of one version, and it can be
// written to.
func expectVersion(t *testing.T, data []byte, version string) {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "store.db")
	g.Expect(os.WriteFile(path, data, 0o600)).To(Succeed())
	s, err := Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	for i := range 60 {
		entry, exists := get(t, s, configMap(fmt.Sprintf("x%d", i), "", "", "").Key)
		g.Expect(exists).To(BeTrue())
		g.Expect(entry.Version).To(Equal(version))
	}
	commit(t, s, put(configMap("new", "uid", "3", "new")))
	g.Expect(s.Close()).To(Succeed())
	s, err = Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	_, exists := get(t, s, configMap("new", "", "", "").Key)
	g.Expect(exists).To(BeTrue())
	g.Expect(s.Close()).To(Succeed())
}

// The power fails while the last page of a commit is written, the meta page: the store is
// as before that commit, which nobody has been told about.
func TestATornMetaPageIsTheStateBefore(t *testing.T) {
	t.Parallel()
	_, after := twoCommits(t)
	expectVersion(t, after, "2")
	for name, tear := range map[string]func(meta []byte){
		"zeros":               func(meta []byte) { clear(meta) },
		"half of it":          func(meta []byte) { clear(meta[metaTxID:]) },
		"a flipped bit":       func(meta []byte) { meta[metaTxID] ^= 4 },
		"without a checksum":  func(meta []byte) { clear(meta[metaTxID+8 : metaTxID+16]) },
		"what was there else": func(meta []byte) { copy(meta, strings.Repeat("x", len(meta))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			torn := append([]byte(nil), after...)
			start := newestMeta(torn)
			tear(torn[start : start+os.Getpagesize()])
			expectVersion(t, torn, "1")
		})
	}
}

// The power fails before that: any of the sectors of the commit's other pages may have
// been written, and the meta page has not. It is the state before, too.
func TestATornCommitIsTheStateBefore(t *testing.T) {
	t.Parallel()
	const sector = 512
	before, after := twoCommits(t)
	newest := newestMeta(after)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 7))
		torn := make([]byte, len(after))
		copy(torn, before)
		for at := 0; at < len(after); at += sector {
			isMeta := at >= newest && at < newest+os.Getpagesize()
			if !isMeta && random.IntN(2) == 0 {
				copy(torn[at:at+sector], after[at:at+sector])
			}
		}
		expectVersion(t, torn, "1")
	}
}
