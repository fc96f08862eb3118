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
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/edgesync/edgesync/internal/object"
)

// Get returns the entry of a key with its payload, and whether there is one.
func (s *Store) Get(key object.Key) (entry Entry, exists bool, err error) {
	err = s.read(key, func(tx *bolt.Tx, rawKey []byte, found Entry) error {
		entry, exists = found, true
		if entry.State.Tombstone() {
			return nil
		}
		entry.Payload = bytes.Clone(tx.Bucket(payloadsBucket).Get(rawKey))
		if object.DigestOf(entry.Payload) != entry.Digest {
			return s.corrupt(fmt.Sprintf("the content of %s is not what was stored", key))
		}
		return nil
	})
	return entry, exists && err == nil, err
}

// Peek is Get without the payload.
func (s *Store) Peek(key object.Key) (entry Entry, exists bool, err error) {
	err = s.read(key, func(_ *bolt.Tx, _ []byte, found Entry) error {
		entry, exists = found, true
		return nil
	})
	return entry, exists, err
}

func (s *Store) read(key object.Key, fn func(tx *bolt.Tx, rawKey []byte, entry Entry) error) error {
	return s.view(func(tx *bolt.Tx) error {
		rawKey := encodeKey(key)
		value := tx.Bucket(entriesBucket).Get(rawKey)
		if value == nil {
			return nil
		}
		entry, err := decode(rawKey, value)
		if err != nil {
			return s.corrupt(err)
		}
		return fn(tx, rawKey, entry)
	})
}

// ForEach calls fn for every entry, without payload, in the order of keys, until fn
// returns an error. It sees one moment of the store. fn must not call the store, and
// should not wait: a store that has to grow waits for it.
func (s *Store) ForEach(fn func(Entry) error) error {
	return s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(entriesBucket).ForEach(func(rawKey, value []byte) error {
			entry, err := decode(rawKey, value)
			if err != nil {
				return s.corrupt(err)
			}
			return fn(entry)
		})
	})
}

// InventoryDigest is the number of entries, tombstones among them, and the
// object.InventoryDigest over one digest for each of them: the holding's fingerprint
// when it is Applied, and otherwise the object.DigestOf that fingerprint followed by
// the number of the state as one byte. It is therefore that of the desired set only
// when everything is held and applied, and nothing is left to remove.
func (s *Store) InventoryDigest() (count int, digest object.Digest, err error) {
	var fingerprints []object.Digest
	err = s.ForEach(func(e Entry) error {
		fingerprint := e.Holding().Fingerprint(e.Key)
		if e.State != Applied {
			fingerprint = object.DigestOf(append(fingerprint[:], byte(e.State)))
		}
		fingerprints = append(fingerprints, fingerprint)
		return nil
	})
	return len(fingerprints), object.InventoryDigest(fingerprints), err
}
