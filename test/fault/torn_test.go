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

package fault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	bolt "go.etcd.io/bbolt"
)

// The layout of a bbolt file, of which the first two pages are meta pages: bbolt writes
// that of transaction n over that of transaction n-2, after all other pages.
const (
	pageHeaderBytes = 16
	metaTxID        = pageHeaderBytes + 48
	metaChecksum    = pageHeaderBytes + 56
	// sectorBytes is what a disk writes as a whole, or not at all.
	sectorBytes = 512
)

// torn kills an agent and leaves in its store what a loss of power in the middle of one
// more transaction would leave.
func torn(w *world, r *rand.Rand) occurrence {
	n, seed := one(r, w.nodes), r.Uint64()
	return occurrence{what: n.name, turn: &n.running, run: func(ctx context.Context) {
		w.check(n.Kill())
		w.check(tear(filepath.Join(n.agent.StateDir(), "store.db"), rand.New(rand.NewPCG(seed, 0))))
		w.startAgain(ctx, &n.member)
	}}
}

// tear damages a store that nobody has open: pages that the next transaction might have
// written have anything in them, and so has its meta page, which is not valid therefore.
func tear(path string, r *rand.Rand) error {
	free, pageSize, err := freePages(path)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, page := range free {
		if r.IntN(2) == 0 {
			sector := r.Int64N(int64(pageSize / sectorBytes))
			err = errors.Join(err, writeNoise(file, int64(page)*int64(pageSize)+sector*sectorBytes, sectorBytes, r))
		}
	}
	return errors.Join(err, tearMeta(file, pageSize, r), file.Close())
}

// freePages are the pages that the last transaction does not use.
func freePages(path string) (free []int, pageSize int, err error) {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return nil, 0, err
	}
	err = db.View(func(tx *bolt.Tx) error {
		for page := 2; ; page++ {
			info, err := tx.Page(page)
			if info == nil || err != nil {
				return err
			}
			if info.Type == "free" {
				free = append(free, page)
			}
		}
	})
	return free, db.Info().PageSize, errors.Join(err, db.Close())
}

// tearMeta leaves the older meta page as one that was being overwritten by that of the
// next transaction.
func tearMeta(file *os.File, pageSize int, r *rand.Rand) error {
	metas := make([]byte, 2*pageSize)
	if _, err := file.ReadAt(metas, 0); err != nil {
		return err
	}
	older, newer, offset := metas[:pageSize], metas[pageSize:], int64(0)
	if txOf(older) > txOf(newer) {
		older, newer, offset = newer, older, int64(pageSize)
	}
	// Half of a sector that lost its power: the new id, without the checksum that goes with it.
	binary.LittleEndian.PutUint64(older[metaTxID:], binary.LittleEndian.Uint64(newer[metaTxID:])+1)
	binary.LittleEndian.PutUint64(older[metaChecksum:], r.Uint64())
	if txOf(older) != 0 {
		return errors.New("the torn meta page is valid by chance")
	}
	_, err := file.WriteAt(older[:sectorBytes], offset)
	return err
}

// txOf is the transaction of a meta page, and 0 if that is not valid: one that was torn
// before and has not been written since is not.
func txOf(meta []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(meta[pageHeaderBytes:metaChecksum]) // never fails
	if h.Sum64() != binary.LittleEndian.Uint64(meta[metaChecksum:]) {
		return 0
	}
	return binary.LittleEndian.Uint64(meta[metaTxID:])
}

func writeNoise(file *os.File, offset int64, n int, r *rand.Rand) error {
	noise := make([]byte, n)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	_, err := file.WriteAt(noise, offset)
	return err
}

// A store that was torn has all that its last transaction left.
func TestATornWriteLosesOnlyWhatWasBeingWritten(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		g := NewWithT(t)
		r := rand.New(rand.NewPCG(seed, 0))
		path := filepath.Join(t.TempDir(), "store.db")
		db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: false})
		g.Expect(err).NotTo(HaveOccurred())
		for i := range 1 + r.IntN(40) {
			g.Expect(db.Update(func(tx *bolt.Tx) error { return writeSome(tx, i, r) })).To(Succeed())
		}
		before, txID := dump(g, db)
		g.Expect(db.Close()).To(Succeed())

		for range 1 + seed%3 {
			g.Expect(tear(path, r)).To(Succeed())
		}
		db, err = bolt.Open(path, 0o600, nil)
		g.Expect(err).NotTo(HaveOccurred())
		after, afterTxID := dump(g, db)
		g.Expect(after).To(Equal(before))
		g.Expect(afterTxID).To(Equal(txID))
		g.Expect(db.Update(func(tx *bolt.Tx) error {
			for problem := range tx.Check() {
				return problem
			}
			return writeSome(tx, 0, r)
		})).To(Succeed(), "it goes on from there")
		g.Expect(db.Close()).To(Succeed())
	}
}

func writeSome(tx *bolt.Tx, i int, r *rand.Rand) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte("objects"))
	if err != nil {
		return err
	}
	if i%5 == 4 {
		if err := bucket.Delete(fmt.Appendf(nil, "key-%d", r.IntN(i))); err != nil {
			return err
		}
	}
	return bucket.Put(fmt.Appendf(nil, "key-%d", i), make([]byte, r.IntN(9000)))
}

// dump is all that a store holds, and its last transaction.
func dump(g *WithT, db *bolt.DB) (content map[string]string, txID int) {
	content = map[string]string{}
	g.Expect(db.View(func(tx *bolt.Tx) error {
		txID = tx.ID()
		return tx.Bucket([]byte("objects")).ForEach(func(k, v []byte) error {
			content[string(k)] = string(v)
			return nil
		})
	})).To(Succeed())
	return content, txID
}
