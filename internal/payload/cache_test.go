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
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func of(payload []byte) *object.Object {
	return &object.Object{Digest: object.DigestOf(payload), Payload: payload}
}

func TestDeltaToWhatIsRemembered(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cache := NewCache(1 << 20)
	before, after := of(configMap(10, 80, "before")), of(configMap(10, 80, "after"))
	_, ok := cache.Delta(before.Digest, after)
	g.Expect(ok).To(BeFalse())
	cache.Remember(before)
	data, ok := cache.Delta(before.Digest, after)
	g.Expect(ok).To(BeTrue())
	g.Expect(Decode(delta, before.Payload, data, 1<<20)).To(Equal(after.Payload))

	data, ok = cache.Delta(after.Digest, after)
	g.Expect(ok).To(BeTrue(), "the same content")
	g.Expect(Decode(delta, after.Payload, data, 1<<20)).To(Equal(after.Payload))

	other := of([]byte(`{"kind":"ConfigMap"}`))
	_, ok = cache.Delta(before.Digest, other)
	g.Expect(ok).To(BeFalse(), "it would hardly be smaller")
	_, ok = cache.Delta(before.Digest, other)
	g.Expect(ok).To(BeFalse(), "the second time as well")
}

func TestFullTravelsSmall(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cache := NewCache(1 << 20)
	o := of(configMap(10, 80, "value"))
	for range 2 {
		encoding, data := cache.Full(o)
		g.Expect(encoding).To(Equal(full))
		g.Expect(Decode(full, nil, data, 1<<20)).To(Equal(o.Payload))
	}
	tiny := of([]byte(`{"kind":"ConfigMap"}`))
	for range 2 {
		encoding, data := cache.Full(tiny)
		g.Expect(encoding).To(Equal(pb.Encoding_ENCODING_JSON))
		g.Expect(data).To(Equal(tiny.Payload))
	}
}

// However many ask for a form at once, it is made once.
func TestFormsAreMadeOnce(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	cache := NewCache(1 << 20)
	var made atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			data := cache.form(cacheKey{payload: object.Digest{1}}, func() []byte {
				made.Add(1)
				return []byte("made")
			})
			if !bytes.Equal(data, []byte("made")) {
				t.Errorf("got %q", data)
			}
		})
	}
	all.Wait()
	g.Expect(made.Load()).To(BeEquivalentTo(1))
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const limit = 10 * (1000 + entryBytes)
	cache := NewCache(limit)
	payload := func(i int) *object.Object { return of(fmt.Appendf(nil, "%01000d", i)) }
	for i := range 100 {
		cache.Remember(payload(i))
		cache.Remember(payload(i)) // counts once
		cache.Remember(payload(0)) // is used
		g.Expect(cache.bytes).To(BeNumerically("<=", limit))
		g.Expect(cache.recent.Len()).To(Equal(len(cache.entries)))
	}
	g.Expect(cache.former(payload(0).Digest)).NotTo(BeNil())
	g.Expect(cache.former(payload(99).Digest)).NotTo(BeNil())
	g.Expect(cache.former(payload(50).Digest)).To(BeNil())
	cache.Remember(of(make([]byte, limit)))
	g.Expect(cache.bytes).To(BeZero(), "what is too large by itself is not kept, nor is anything else")
	data := cache.form(cacheKey{payload: object.Digest{1}}, func() []byte { return make([]byte, limit) })
	g.Expect(data).To(HaveLen(limit), "it is made all the same")
	g.Expect(cache.bytes).To(BeZero())
}
