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

package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// DigestSize is the length of a Digest in bytes.
const DigestSize = 16

// Digest is a SHA-256 truncated to 128 bits.
type Digest [DigestSize]byte

// DigestOf is the digest of some bytes.
func DigestOf(data []byte) Digest {
	return truncate(sha256.Sum256(data))
}

func truncate(sum [sha256.Size]byte) Digest {
	return Digest(sum[:DigestSize])
}

// Holding is what a node holds, or should hold, under one key.
type Holding struct {
	UID     string
	Version string
	Digest  Digest
	// Retain says that the object stays where it was applied once it is no longer wanted.
	Retain bool
}

// Same reports whether two holdings are the same object with the same content and
// fate. The version does not matter: a change of what does not travel, such as
// status, makes a new version of the same content.
func (h Holding) Same(other Holding) bool {
	return h.UID == other.UID && h.Digest == other.Digest && h.Retain == other.Retain
}

// Fingerprint is a digest of all that Same compares, together with the key.
func (h Holding) Fingerprint(key Key) Digest {
	buf := make([]byte, 0, 256)
	for _, field := range []string{key.Group, key.Kind, key.Namespace, key.Name, h.UID} {
		buf = binary.AppendUvarint(buf, uint64(len(field)))
		buf = append(buf, field...)
	}
	buf = append(buf, h.Digest[:]...)
	if h.Retain {
		buf = append(buf, 1)
	}
	return DigestOf(buf)
}

// InventoryDigest is the digest of a set of fingerprints, in whatever order they
// come; it sorts them in place. Two sides with the same digest hold the same.
func InventoryDigest(fingerprints []Digest) Digest {
	slices.SortFunc(fingerprints, func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
	hash := sha256.New()
	for i := range fingerprints {
		hash.Write(fingerprints[i][:])
	}
	return truncate([sha256.Size]byte(hash.Sum(nil)))
}
