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

package desired

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/edgesync/edgesync/internal/object"
)

// content stands for a set of objects with their uids and contents: the sum of their
// fingerprints. One object is added or taken away without a look at the others.
type content [2]uint64

func (c *content) add(d object.Digest) {
	c[0] += binary.BigEndian.Uint64(d[:8])
	c[1] += binary.BigEndian.Uint64(d[8:])
}

func (c *content) subtract(d object.Digest) {
	c[0] -= binary.BigEndian.Uint64(d[:8])
	c[1] -= binary.BigEndian.Uint64(d[8:])
}

// fingerprint stands for an object in one content.
func fingerprint(o *object.Object) object.Digest {
	return object.Holding{UID: o.UID, Digest: o.Digest}.Fingerprint(o.Key)
}

// take has the source cover an item, and drop no longer.
func (s *source) take(it *item) {
	s.objects[it], it.sources[s] = struct{}{}, struct{}{}
	s.content.add(it.fingerprint)
}

func (s *source) drop(it *item) {
	delete(s.objects, it)
	delete(it.sources, s)
	s.content.subtract(it.fingerprint)
}

// revise makes the revision that of what the source covers now.
func (s *source) revise() {
	buf := make([]byte, 0, 64)
	buf = append(buf, s.selection[:]...)
	buf = binary.BigEndian.AppendUint64(buf, s.content[0])
	buf = binary.BigEndian.AppendUint64(buf, s.content[1])
	buf = binary.AppendUvarint(buf, uint64(len(s.objects)))
	digest := object.DigestOf(buf)
	s.revision = hex.EncodeToString(digest[:8])
}

// selection stands for how a source selects and orders its nodes.
func selection(s *Source) object.Digest {
	fields := []string{s.NodeName}
	if s.NodeName == "" {
		fields = append(fields, s.NodeSelector.String())
	}
	if s.Rollout != nil {
		fields = append(fields, s.Rollout.Label)
		fields = append(fields, s.Rollout.Values...)
	}
	var buf []byte
	for _, field := range fields {
		buf = binary.AppendUvarint(buf, uint64(len(field)))
		buf = append(buf, field...)
	}
	return object.DigestOf(buf)
}
