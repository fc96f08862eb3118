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
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
)

// crash is a copy of the store's file as it is on the disk right now, opened.
func crash(t *testing.T, s *Store) *Store {
	t.Helper()
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	crashed, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = crashed.Close() })
	return crashed
}

func writes(g Gomega, s *Store) int {
	tx, err := s.db.Begin(false)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = tx.Rollback() }()
	return tx.ID()
}

func TestAViewCostsNoWriteOfItsOwn(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newStore(t, Options{})
	before := writes(g, s)
	g.Expect(s.View()).To(BeEmpty())

	g.Expect(s.SetView([]byte("one"))).To(Succeed())
	g.Expect(s.View()).To(Equal([]byte("one")))
	g.Expect(writes(g, s)).To(Equal(before))
	g.Expect(crash(t, s).View()).To(BeEmpty())

	commit(t, s, put(configMap("x", "uid", "1", "one")))
	g.Expect(writes(g, s)).To(Equal(before + 1))
	g.Expect(crash(t, s).View()).To(Equal([]byte("one")), "it travels with the next change")

	g.Expect(s.SetView([]byte("one"))).To(Succeed())
	g.Expect(s.SaveView()).To(Succeed())
	g.Expect(writes(g, s)).To(Equal(before+1), "it is there already")

	g.Expect(s.SetView([]byte("two"))).To(Succeed())
	commit(t, s, put(configMap("x", "uid", "1", "one")))
	g.Expect(writes(g, s)).To(Equal(before+1), "nothing has changed")
	g.Expect(s.SaveView()).To(Succeed())
	g.Expect(crash(t, s).View()).To(Equal([]byte("two")))
}

func TestTheViewIsSavedAtTheEnd(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.SetView([]byte("one"))).To(Succeed())
	g.Expect(s.SetView(make([]byte, protocol.MaxViewBytes+1))).NotTo(Succeed())
	g.Expect(s.Close()).To(Succeed())

	s, err = Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.View()).To(Equal([]byte("one")))
	g.Expect(s.Close()).To(Succeed())
}
