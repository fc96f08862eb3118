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

package payload

import (
	"container/list"
	"runtime"
	"sync"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Cache makes each form in which an object travels once, however many nodes get it: the
// compressed one for each version, the difference for each pair of versions. It keeps
// these, and the payloads that differences are to, in bounded memory: those that were
// used last. Its methods may be called concurrently; of two that need the same form, one
// makes it and the other waits.
type Cache struct {
	mu      sync.Mutex
	limit   int
	bytes   int
	entries map[cacheKey]*list.Element
	// recent are the entries, the one that was used last first.
	recent list.List
	// making bounds the encoders, each of which takes memory.
	making chan struct{}
}

// cacheKey names what makes payload from base, the compressed form if there is no base, or
// the payload itself if it is a former one.
type cacheKey struct {
	payload, base object.Digest
	former        bool
}

type cached struct {
	key  cacheKey
	once sync.Once
	data []byte
	// bytes is what the entry counts for.
	bytes int
}

const (
	// entryBytes is what an entry takes beside its data.
	entryBytes = 256
	// worthwhile is how many bytes a form must save to be used.
	worthwhile = 16
)

// NewCache makes a Cache that keeps at most limit bytes.
func NewCache(limit int) *Cache {
	return &Cache{limit: limit, entries: map[cacheKey]*list.Element{}, making: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Remember keeps the payload of an object that has been replaced, since nodes hold it.
func (c *Cache) Remember(former *object.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.entry(cacheKey{payload: former.Digest, former: true})
	entry.data = former.Payload
	c.account(entry)
}

// Delta is the difference of o to the payload with the digest base; false if that is not
// known any longer, or the difference is not worth it.
func (c *Cache) Delta(base object.Digest, o *object.Object) ([]byte, bool) {
	former := o.Payload // only what is to become of it one day is another
	if base != o.Digest {
		former = c.former(base)
	}
	if former == nil {
		return nil, false
	}
	data := c.form(cacheKey{payload: o.Digest, base: base}, func() []byte { return Delta(former, o.Payload) })
	return data, data != nil && 2*(len(data)+protocol.BaseBytes) < len(o.Payload)
}

// Full is an object by itself, in the smaller one of the encodings that need no base.
func (c *Cache) Full(o *object.Object) (pb.Encoding, []byte) {
	data := c.form(cacheKey{payload: o.Digest}, func() []byte {
		if compressed := Compress(o.Payload); len(compressed)+worthwhile < len(o.Payload) {
			return compressed
		}
		return nil
	})
	if data == nil {
		return pb.Encoding_ENCODING_JSON, o.Payload
	}
	return pb.Encoding_ENCODING_ZSTD, data
}

func (c *Cache) former(digest object.Digest) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := cacheKey{payload: digest, former: true}
	if c.entries[key] == nil {
		return nil
	}
	return c.entry(key).data
}

// form finds or makes a form, of which nil says that there is none.
func (c *Cache) form(key cacheKey, encode func() []byte) []byte {
	c.mu.Lock()
	entry := c.entry(key)
	c.mu.Unlock()
	entry.once.Do(func() {
		c.making <- struct{}{}
		defer func() { <-c.making }()
		entry.data = encode()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.account(entry)
	})
	return entry.data
}

// entry finds or makes an entry, and notes that it is used. The Cache must be locked.
func (c *Cache) entry(key cacheKey) *cached {
	if element := c.entries[key]; element != nil {
		c.recent.MoveToFront(element)
		return element.Value.(*cached)
	}
	entry := &cached{key: key}
	c.entries[key] = c.recent.PushFront(entry)
	c.account(entry)
	return entry
}

// account counts what an entry takes now, unless it is forgotten already, and forgets the
// entries that were not used for longest while all take too much. The Cache must be locked.
func (c *Cache) account(entry *cached) {
	if element := c.entries[entry.key]; element == nil || element.Value != entry {
		return
	}
	c.bytes += entryBytes + len(entry.data) - entry.bytes
	entry.bytes = entryBytes + len(entry.data)
	for c.bytes > c.limit {
		oldest := c.recent.Remove(c.recent.Back()).(*cached)
		delete(c.entries, oldest.key)
		c.bytes -= oldest.bytes
	}
}
