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

	bolt "go.etcd.io/bbolt"

	"github.com/edgesync/edgesync/internal/protocol"
)

// storeFormat is the layout of the buckets. A store of another one is not opened.
const storeFormat = "1"

var (
	formatKey       = []byte("format")
	epochKey        = []byte("epoch")
	clusterEpochKey = []byte("cluster-epoch")
)

const notePrefix = "note/"

// Epoch tells this store from one that was made anew in its place.
func (s *Store) Epoch() string { return s.epoch }

// ClusterEpoch is the cluster epoch of the last Welcome, empty if there was none.
func (s *Store) ClusterEpoch() (string, error) { return s.meta(clusterEpochKey) }

// SetClusterEpoch remembers the cluster epoch of a Welcome.
func (s *Store) SetClusterEpoch(epoch string) error { return s.setMeta(clusterEpochKey, epoch) }

// Note is a small text that was kept under a name, empty if there is none.
func (s *Store) Note(name string) (string, error) { return s.meta([]byte(notePrefix + name)) }

// SetNote keeps a small text under a name, for the next start and for status
// commands: the last error of the link, for example. Writing what is there already
// costs no write to the disk; everything else waits for the disk.
func (s *Store) SetNote(name, text string) error {
	return s.setMeta([]byte(notePrefix+name), protocol.Truncate(text))
}

func (s *Store) meta(key []byte) (value string, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		value = string(tx.Bucket(metaBucket).Get(key))
		return nil
	})
	return value, err
}

func (s *Store) setMeta(key []byte, value string) error {
	return s.update(func(tx *bolt.Tx) (bool, error) {
		bucket := tx.Bucket(metaBucket)
		if bytes.Equal(bucket.Get(key), []byte(value)) {
			return false, nil
		}
		return true, bucket.Put(key, []byte(value))
	})
}
