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

// maxFormatBytes bounds the name of a format. What a damaged page names may reach far
// beyond the page: it is not read, and not shown.
const maxFormatBytes = 32

// check reads the whole store: every entry can be decoded, and has just the payload
// that its digest says.
func (s *Store) check(tx *bolt.Tx) error {
	format := tx.Bucket(metaBucket).Get(formatKey)
	if len(format) > maxFormatBytes {
		return s.corrupt("its format is not the name of one")
	}
	if string(format) != storeFormat {
		return fmt.Errorf("store %s has format %q and this agent knows only %q: use the agent that made it, "+
			"or move it away and the hub will send every object anew", s.path, format, storeFormat)
	}
	entries, payloads := tx.Bucket(entriesBucket), tx.Bucket(payloadsBucket)
	if entries == nil || payloads == nil {
		return s.corrupt("it has no records")
	}
	payloadCursor := payloads.Cursor()
	payloadKey, payload := payloadCursor.First()
	err := entries.ForEach(func(rawKey, value []byte) error {
		entry, err := decode(rawKey, value)
		if err != nil {
			return s.corrupt(err)
		}
		if entry.State.Tombstone() {
			return nil
		}
		if !bytes.Equal(rawKey, payloadKey) || object.DigestOf(payload) != entry.Digest {
			return s.corrupt(fmt.Sprintf("the content of %s is not what was stored", entry.Key))
		}
		payloadKey, payload = payloadCursor.Next()
		return nil
	})
	if err == nil && payloadKey != nil {
		err = s.corrupt("it holds content that belongs to no record")
	}
	return err
}

func decode(rawKey, value []byte) (Entry, error) {
	key, err := decodeKey(rawKey)
	if err != nil {
		return Entry{}, err
	}
	entry, err := decodeEntry(key, value)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", key, err)
	}
	return entry, nil
}
