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
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
)

func newStore(t testing.TB, options Options) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store.db"), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func configMap(name, uid, version, payload string) Record {
	return Record{Object: object.Object{
		Key:        object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name},
		APIVersion: "v1",
		Resource:   "configmaps",
		UID:        uid,
		Version:    version,
		Digest:     object.DigestOf([]byte(payload)),
		Payload:    []byte(payload),
	}}
}

func put(r Record) Op          { return Op{Put: &Put{Record: r}} }
func remove(r Record) Op       { return Op{Delete: &Delete{Key: r.Key, UID: r.UID}} }
func release(r Record) Op      { return Op{Delete: &Delete{Key: r.Key, UID: r.UID, Release: true}} }
func withForce(op Op) Op       { op.Put.Force = true; return op }
func asOf(op Op, v string) Op  { op.Delete.AsOf = v; return op }
func retained(r Record) Record { r.Retain = true; return r }

func commit(t testing.TB, s *Store, ops ...Op) []Outcome {
	t.Helper()
	outcomes, err := s.Commit(ops)
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

func get(t testing.TB, s *Store, key object.Key) (Entry, bool) {
	t.Helper()
	entry, exists, err := s.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return entry, exists
}

func setState(t testing.TB, s *Store, key object.Key, state State, message string) {
	t.Helper()
	entry, _ := get(t, s, key)
	if err := s.SetStates([]StateChange{{Key: key, Revision: entry.Revision, State: state, Message: message}}); err != nil {
		t.Fatal(err)
	}
}

func TestCommitRules(t *testing.T) {
	t.Parallel()
	held := configMap("settings", "uid-1", "10", "content")
	key := held.Key

	tests := map[string]struct {
		state     State // of held before the op
		tombstone bool
		op        Op
		outcome   Outcome
		version   string // of what is held afterwards; empty: there is no entry
		payload   string
		after     State
	}{
		"a newer version replaces": {
			state: Applied, op: put(configMap("settings", "uid-1", "11", "new")),
			outcome: Outcome{Work: true}, version: "11", payload: "new", after: Pending,
		},
		"an older version is stale": {
			state: Applied, op: put(configMap("settings", "uid-1", "9", "old")),
			outcome: Outcome{Result: Stale}, version: "10", payload: "content", after: Applied,
		},
		"an older version of another uid is stale": {
			state: Applied, op: put(configMap("settings", "uid-0", "9", "old")),
			outcome: Outcome{Result: Stale}, version: "10", payload: "content", after: Applied,
		},
		"a forced older version replaces": {
			state: Applied, op: withForce(put(configMap("settings", "uid-1", "9", "old"))),
			outcome: Outcome{Work: true}, version: "9", payload: "old", after: Pending,
		},
		"versions that cannot be compared replace": {
			state: Applied, op: put(configMap("settings", "uid-1", "zz", "other")),
			outcome: Outcome{Work: true}, version: "zz", payload: "other", after: Pending,
		},
		"the same version again changes nothing": {
			state: Applied, op: put(held),
			outcome: Outcome{}, version: "10", payload: "content", after: Applied,
		},
		"the same version again is tried again after a failure": {
			state: Failed, op: put(held),
			outcome: Outcome{Work: true}, version: "10", payload: "content", after: Failed,
		},
		"the same content takes over the version and keeps the state": {
			state: Applied, op: put(configMap("settings", "uid-1", "12", "content")),
			outcome: Outcome{Work: true}, version: "12", payload: "content", after: Applied,
		},
		"another fate is not the same": {
			state: Applied, op: put(retained(configMap("settings", "uid-1", "12", "content"))),
			outcome: Outcome{Work: true}, version: "12", payload: "content", after: Pending,
		},
		"the same content of another uid is not the same": {
			state: Applied, op: put(configMap("settings", "uid-2", "12", "content")),
			outcome: Outcome{Work: true}, version: "12", payload: "content", after: Pending,
		},
		"a delete leaves a tombstone": {
			state: Applied, op: remove(held),
			outcome: Outcome{Work: true}, version: "10", after: Removing,
		},
		"a delete of another uid changes nothing": {
			state: Applied, op: remove(configMap("settings", "uid-2", "", "")),
			outcome: Outcome{}, version: "10", payload: "content", after: Applied,
		},
		"a delete by who knows just this version removes": {
			state: Applied, op: asOf(remove(held), "10"),
			outcome: Outcome{Work: true}, version: "10", after: Removing,
		},
		"a delete by who knows less is stale": {
			state: Applied, op: asOf(remove(held), "9"),
			outcome: Outcome{Result: Stale}, version: "10", payload: "content", after: Applied,
		},
		"a release by who knows less is stale": {
			state: Applied, op: asOf(release(held), "9"),
			outcome: Outcome{Result: Stale}, version: "10", payload: "content", after: Applied,
		},
		"a delete of another uid by who knows less changes nothing": {
			state: Applied, op: asOf(remove(configMap("settings", "uid-2", "", "")), "9"),
			outcome: Outcome{}, version: "10", payload: "content", after: Applied,
		},
		"a delete as of a version that cannot be compared removes": {
			state: Applied, op: asOf(remove(held), "zz"),
			outcome: Outcome{Work: true}, version: "10", after: Removing,
		},
		"a second delete by who knows less leaves the tombstone": {
			tombstone: true, state: Removing, op: asOf(remove(held), "9"),
			outcome: Outcome{Work: true}, version: "10", after: Removing,
		},
		"new content of what is not healthy yet is pending": {
			state: Progressing, op: put(configMap("settings", "uid-1", "11", "new")),
			outcome: Outcome{Work: true}, version: "11", payload: "new", after: Pending,
		},
		"a release forgets": {
			state: Applied, op: release(held), outcome: Outcome{},
		},
		"a release of another uid changes nothing": {
			state: Applied, op: release(configMap("settings", "uid-2", "", "")),
			outcome: Outcome{}, version: "10", payload: "content", after: Applied,
		},
		"only release decides that a retained object stays": {
			state: Applied, op: remove(retained(held)),
			outcome: Outcome{Work: true}, version: "10", after: Removing,
		},
		"an older put revives a tombstone": {
			tombstone: true, state: Removing, op: put(configMap("settings", "uid-1", "9", "old")),
			outcome: Outcome{Work: true}, version: "9", payload: "old", after: Pending,
		},
		"the same put revives a tombstone": {
			tombstone: true, state: RemoveFailed, op: put(held),
			outcome: Outcome{Work: true}, version: "10", payload: "content", after: Pending,
		},
		"a second delete leaves the tombstone": {
			tombstone: true, state: RemoveFailed, op: remove(held),
			outcome: Outcome{Work: true}, version: "10", after: RemoveFailed,
		},
		"a release forgets a tombstone": {
			tombstone: true, state: Removing, op: release(held), outcome: Outcome{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			s := newStore(t, Options{})
			commit(t, s, put(held))
			if test.tombstone {
				commit(t, s, remove(held))
			}
			setState(t, s, key, test.state, "")

			outcomes := commit(t, s, test.op)

			entry, exists := get(t, s, key)
			if exists && !entry.State.Tombstone() {
				test.outcome.Held = entry.Holding()
			}
			g.Expect(outcomes).To(Equal([]Outcome{test.outcome}))
			g.Expect(exists).To(Equal(test.version != ""))
			g.Expect(entry.Version).To(Equal(test.version))
			g.Expect(string(entry.Payload)).To(Equal(test.payload))
			g.Expect(entry.State).To(Equal(test.after))
		})
	}
}

func TestAnInvalidPutLeavesTheOthers(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newStore(t, Options{})
	for _, name := range []string{"", "a\x00b", strings.Repeat("n", maxFieldBytes+1)} {
		good := configMap("good", "uid", "1", "content")
		outcomes := commit(t, s, put(configMap(name, "uid", "1", "content")), put(good))
		g.Expect(outcomes[0].Result).To(Equal(Invalid))
		g.Expect(outcomes[0].Err).To(HaveOccurred())
		g.Expect(outcomes[1].Result).To(Equal(Stored))
		_, exists := get(t, s, good.Key)
		g.Expect(exists).To(BeTrue())
	}
	_, err := s.Commit([]Op{{}})
	g.Expect(err).To(MatchError(ContainSubstring("either a put or a delete")))
}

func TestOpsOfOneBatchSeeEachOther(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newStore(t, Options{})
	first, second := configMap("x", "uid-1", "5", "one"), configMap("x", "uid-2", "7", "two")
	commit(t, s, put(first), remove(first), put(second), remove(first))
	entry, _ := get(t, s, first.Key)
	g.Expect(entry.UID).To(Equal("uid-2"))
	g.Expect(entry.State).To(Equal(Pending))
}

func TestSetStates(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newStore(t, Options{})
	record := configMap("x", "uid", "1", "one")
	commit(t, s, put(record))
	old, _ := get(t, s, record.Key)

	setState(t, s, record.Key, Failed, strings.Repeat("é", protocol.MaxMessageBytes))
	entry, _ := get(t, s, record.Key)
	g.Expect(entry.State).To(Equal(Failed))
	g.Expect(len(entry.Message)).To(BeNumerically("<=", protocol.MaxMessageBytes))
	g.Expect(entry.Message).To(HaveSuffix("é…"))
	g.Expect(entry.Since).To(BeTemporally("~", time.Now(), time.Minute))

	commit(t, s, put(configMap("x", "uid", "2", "two")))
	g.Expect(s.SetStates([]StateChange{{Key: record.Key, Revision: old.Revision, State: Applied}})).To(Succeed())
	entry, _ = get(t, s, record.Key)
	g.Expect(entry.State).To(Equal(Pending), "the record has moved on")

	commit(t, s, remove(record))
	entry, _ = get(t, s, record.Key)
	err := s.SetStates([]StateChange{{Key: record.Key, Revision: entry.Revision, State: Applied}})
	g.Expect(err).To(MatchError(ContainSubstring("Applied cannot follow Removing")))
	setState(t, s, record.Key, Removed, "")
	_, exists := get(t, s, record.Key)
	g.Expect(exists).To(BeFalse())
	g.Expect(s.SetStates([]StateChange{{Key: record.Key, Revision: entry.Revision, State: Removed}})).To(Succeed())
}

func TestInventoryDigestIsThatOfTheDesiredSetOnlyWhenClean(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newStore(t, Options{})
	a, b := configMap("a", "uid-a", "1", "one"), retained(configMap("b", "uid-b", "2", "two"))
	commit(t, s, put(a), put(b))
	var desired []object.Digest
	for _, r := range []Record{a, b} {
		desired = append(desired, r.Holding().Fingerprint(r.Key))
	}
	clean := object.InventoryDigest(desired)

	expect := func(count int, isClean bool) object.Digest {
		t.Helper()
		gotCount, digest, err := s.InventoryDigest()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(gotCount).To(Equal(count))
		if isClean {
			g.Expect(digest).To(Equal(clean))
		} else {
			g.Expect(digest).NotTo(Equal(clean))
		}
		return digest
	}
	pending := expect(2, false)
	setState(t, s, a.Key, Applied, "")
	setState(t, s, b.Key, Failed, "no")
	g.Expect(expect(2, false)).NotTo(Equal(pending))
	setState(t, s, b.Key, Applied, "")
	expect(2, true)

	c := configMap("c", "uid-c", "3", "three")
	commit(t, s, put(c))
	setState(t, s, c.Key, Applied, "")
	expect(3, false)
	commit(t, s, remove(c))
	expect(3, false)
	setState(t, s, c.Key, Removed, "")
	expect(2, true)
}

func TestForEachIsInTheOrderOfKeysAndStopsAtAnError(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newStore(t, Options{})
	for _, name := range []string{"b", "a-b", "a", "a.b"} {
		commit(t, s, put(configMap(name, "uid", "1", name)))
	}
	var keys []object.Key
	g.Expect(s.ForEach(func(e Entry) error {
		g.Expect(e.Payload).To(BeNil())
		keys = append(keys, e.Key)
		return nil
	})).To(Succeed())
	g.Expect(keys).To(HaveLen(4))
	for i := 1; i < len(keys); i++ {
		g.Expect(keys[i-1].Compare(keys[i])).To(Equal(-1))
	}
	stop := fmt.Errorf("stop")
	g.Expect(s.ForEach(func(Entry) error { return stop })).To(MatchError(stop))
}

func TestReopenKeepsEverything(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	record, slow := retained(configMap("x", "uid", "1", "one")), configMap("slow", "uid", "1", "two")
	commit(t, s, put(record), put(slow))
	setState(t, s, record.Key, Failed, "no room")
	setState(t, s, slow.Key, Progressing, "0 of 1 replicas")
	g.Expect(s.SetClusterEpoch("cluster-1")).To(Succeed())
	g.Expect(s.SetNote("link", "connection refused")).To(Succeed())
	before, _ := get(t, s, record.Key)
	epoch := s.Epoch()
	g.Expect(epoch).NotTo(BeEmpty())
	g.Expect(s.Close()).To(Succeed())

	info, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))

	for _, options := range []Options{{}, {ReadOnly: true}} {
		s, err = Open(path, options)
		g.Expect(err).NotTo(HaveOccurred())
		after, _ := get(t, s, record.Key)
		g.Expect(after).To(Equal(before))
		unfinished, _ := get(t, s, slow.Key)
		g.Expect(unfinished).To(And(HaveField("State", Progressing), HaveField("Message", "0 of 1 replicas")))
		g.Expect(s.Epoch()).To(Equal(epoch))
		g.Expect(s.ClusterEpoch()).To(Equal("cluster-1"))
		g.Expect(s.Note("link")).To(Equal("connection refused"))
		g.Expect(s.Note("other")).To(BeEmpty())
		g.Expect(s.Close()).To(Succeed())
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "missing", "store.db"), Options{})
	g.Expect(err).To(MatchError(os.ErrNotExist))
	_, err = Open(filepath.Join(dir, "missing.db"), Options{ReadOnly: true})
	g.Expect(err).To(MatchError(os.ErrNotExist))
	empty := filepath.Join(dir, "empty.db")
	g.Expect(os.WriteFile(empty, nil, 0o600)).To(Succeed())
	_, err = Open(empty, Options{ReadOnly: true})
	g.Expect(err).To(And(MatchError(os.ErrNotExist), MatchError(ContainSubstring("nothing has been stored yet"))))

	path := filepath.Join(dir, "store.db")
	s, err := Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = Open(path, Options{})
	g.Expect(err).To(MatchError(ErrLocked))
	g.Expect(s.setMeta(formatKey, "2")).To(Succeed())
	g.Expect(s.Close()).To(Succeed())
	_, err = Open(path, Options{})
	g.Expect(err).To(MatchError(ContainSubstring(`format "2"`)))
}
