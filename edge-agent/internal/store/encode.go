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
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
)

// entryFormat is the first byte of every encoded entry.
const entryFormat = 1

// maxFieldBytes bounds every string of a record. The longest that Kubernetes knows
// is an API version, a DNS subdomain and a label.
const maxFieldBytes = 512

const flagRetain = 1

// keySeparator cannot be part of a name, so that the order of encoded keys is that
// of object.Key.Compare.
const keySeparator = "\x00"

func encodeKey(key object.Key) []byte {
	return []byte(strings.Join([]string{key.Group, key.Kind, key.Namespace, key.Name}, keySeparator))
}

func decodeKey(data []byte) (object.Key, error) {
	parts := strings.Split(string(data), keySeparator)
	if len(parts) != 4 {
		return object.Key{}, fmt.Errorf("a key of %d parts", len(parts))
	}
	return object.Key{Group: parts[0], Kind: parts[1], Namespace: parts[2], Name: parts[3]}, nil
}

// encodeEntry encodes all but the key and the payload.
func encodeEntry(e *Entry) []byte {
	var flags byte
	if e.Retain {
		flags |= flagRetain
	}
	buf := make([]byte, 0, 256)
	buf = append(buf, entryFormat, byte(e.State), flags)
	buf = append(buf, e.Digest[:]...)
	buf = binary.AppendUvarint(buf, e.Revision)
	buf = binary.AppendVarint(buf, e.Since.Unix())
	for _, field := range []string{e.UID, e.Version, e.APIVersion, e.Resource, e.Message} {
		buf = binary.AppendUvarint(buf, uint64(len(field)))
		buf = append(buf, field...)
	}
	return buf
}

// decodeEntry makes an entry without payload. It keeps no reference to data.
func decodeEntry(key object.Key, data []byte) (Entry, error) {
	d := decoder{rest: data}
	if format := d.byte(); d.err == nil && format != entryFormat {
		return Entry{}, fmt.Errorf("format %d of a record is not known", format)
	}
	e := Entry{State: State(d.byte())}
	flags := d.byte()
	e.Key = key
	e.Retain = flags&flagRetain != 0
	e.Digest = d.digest()
	e.Revision = d.uvarint()
	e.Since = time.Unix(d.varint(), 0)
	e.UID = d.string(maxFieldBytes)
	e.Version = d.string(maxFieldBytes)
	e.APIVersion = d.string(maxFieldBytes)
	e.Resource = d.string(maxFieldBytes)
	e.Message = d.string(protocol.MaxMessageBytes)
	switch {
	case d.err != nil:
		return Entry{}, d.err
	case len(d.rest) > 0:
		return Entry{}, fmt.Errorf("%d bytes after a record", len(d.rest))
	case !e.State.valid() || e.State == Removed || flags&^flagRetain != 0:
		return Entry{}, fmt.Errorf("a record in state %d with flags %x", e.State, flags)
	}
	return e, nil
}

var errTruncated = errors.New("a record is cut short")

// decoder reads fields until the first error, which it keeps.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) take(n int) []byte {
	if d.err == nil && n > len(d.rest) {
		d.err = errTruncated
	}
	if d.err != nil {
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) digest() (digest object.Digest) {
	copy(digest[:], d.take(object.DigestSize))
	return digest
}

func (d *decoder) uvarint() uint64 {
	value, n := binary.Uvarint(d.rest)
	d.advance(n)
	return value
}

func (d *decoder) varint() int64 {
	value, n := binary.Varint(d.rest)
	d.advance(n)
	return value
}

func (d *decoder) advance(n int) {
	if n <= 0 {
		n = len(d.rest) + 1
	}
	d.take(n)
}

func (d *decoder) string(most uint64) string {
	n := d.uvarint()
	if d.err == nil && n > most {
		d.err = fmt.Errorf("a field of %d bytes, more than %d", n, most)
	}
	return string(d.take(int(min(n, most))))
}
