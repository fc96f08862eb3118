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
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/klauspost/compress/zstd"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const (
	full  = pb.Encoding_ENCODING_ZSTD
	delta = pb.Encoding_ENCODING_ZSTD_DELTA
)

// configMap is the JSON of a ConfigMap with keys whose values are random text; changed is
// the value of one of them.
func configMap(keys, valueBytes int, changed string) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	data := map[string]string{}
	for i := range keys {
		value := make([]byte, valueBytes)
		for j := range value {
			value[j] = "0123456789abcdef"[random.IntN(16)]
		}
		data[fmt.Sprintf("key-%04d", i)] = string(value)
	}
	data[fmt.Sprintf("key-%04d", keys/2)] = changed
	payload, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]string{"name": "settings", "namespace": "shop", "uid": "6f1c0b1e-1111-2222-3333-123456789012"},
	})
	must(err)
	return payload
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 100, 255, 256, 1023, 1024, 1025, 16 << 10, 200 << 10, 3 << 20} {
		g := NewWithT(t)
		base := []byte{}
		if size > 0 {
			base = bytes.Repeat(configMap(10, 80, "before"), size/900+1)[:size]
		}
		payload := append(bytes.Clone(base), "x"...)
		g.Expect(Decode(full, nil, Compress(payload), len(payload))).To(Equal(payload), "%d bytes", size)
		g.Expect(Decode(full, nil, Compress(base), size)).To(BeComparableTo(base), "%d bytes", size)
		g.Expect(Decode(delta, base, Delta(base, payload), len(payload))).To(Equal(payload), "%d bytes", size)
		g.Expect(Decode(pb.Encoding_ENCODING_JSON, nil, payload, len(payload))).To(Equal(payload))
	}
}

// What one changed key takes hardly depends on how large the object is.
func TestDeltasAreSmall(t *testing.T) {
	t.Parallel()
	for keys, most := range map[int]int{10: 32, 100: 34, 1000: 36, 10_000: 150} {
		g := NewWithT(t)
		base, payload := configMap(keys, 80, "value-1"), configMap(keys, 80, "value-22")
		encoded := Delta(base, payload)
		g.Expect(len(encoded)).To(BeNumerically("<=", most), "%d bytes", len(payload))
		g.Expect(Decode(delta, base, encoded, len(payload))).To(Equal(payload))
	}
}

func TestTooLargeForADelta(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(Delta(make([]byte, 4<<20), make([]byte, 4<<20+1))).To(BeNil())
	g.Expect(Compress(make([]byte, 8<<20+1))).To(BeNil())
}

func TestTooLargeToBeDecoded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	payload := bytes.Repeat([]byte("a"), 2000)
	for _, encoded := range []struct {
		encoding pb.Encoding
		data     []byte
	}{{pb.Encoding_ENCODING_JSON, payload}, {full, Compress(payload)}, {delta, Delta([]byte("aaaa"), payload)}} {
		_, err := Decode(encoded.encoding, []byte("aaaa"), encoded.data, len(payload)-1)
		g.Expect(err).To(MatchError(ErrTooLarge))
	}
}

func TestWhatIsNoFrameOfOurs(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	base, payload := configMap(10, 80, "before"), configMap(10, 80, "after")
	otherBase := bytes.Replace(bytes.Clone(base), []byte("key-0001"), []byte("kex-0001"), 1)
	encode := func(options ...zstd.EOption) []byte {
		encoder, err := zstd.NewWriter(nil, options...)
		must(err)
		return encoder.EncodeAll(payload, nil)
	}
	for name, data := range map[string][]byte{
		"nothing":               {},
		"JSON":                  payload,
		"half a frame":          Compress(payload)[:100],
		"a skippable frame":     {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0},
		"no checksum":           encode(zstd.WithEncoderCRC(false)),
		"a numbered dictionary": encode(zstd.WithEncoderDictRaw(7, base)),
		"two frames":            append(Compress(payload), Compress(payload)...),
		"a wrong checksum":      append(Compress(payload)[:len(Compress(payload))-1], 0),
		"a difference":          Delta(base, payload),
	} {
		_, err := Decode(full, nil, data, 1<<20)
		g.Expect(err).To(HaveOccurred(), name)
	}
	_, err := Decode(delta, otherBase, Delta(base, payload), 1<<20)
	g.Expect(err).To(HaveOccurred(), "a difference to something else")
	_, err = Decode(pb.Encoding_ENCODING_UNSPECIFIED, nil, payload, 1<<20)
	g.Expect(err).To(MatchError(ContainSubstring("unknown encoding 0")))
}

// A frame of a few bytes that claims to be large has no memory taken for it beyond the limit.
func TestBomb(t *testing.T) {
	g := NewWithT(t)
	bomb := Compress(make([]byte, 8<<20))
	g.Expect(len(bomb)).To(BeNumerically("<", 2000))
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := Decode(full, nil, bomb, 4<<20)
			if err == nil {
				b.Fatal("decoded a bomb")
			}
		}
	}).AllocedBytesPerOp()
	g.Expect(allocated).To(BeNumerically("<", 64<<10))
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			base := configMap(10+i, 80, "before")
			for j := range 20 {
				payload := configMap(10+i, 80, strings.Repeat("after", j))
				got, err := Decode(delta, base, Delta(base, payload), len(payload))
				if err != nil || !bytes.Equal(got, payload) {
					t.Errorf("decoded wrongly: %v", err)
				}
			}
		})
	}
	all.Wait()
	g.Expect(Decode(full, nil, Compress([]byte("{}")), 2)).To(Equal([]byte("{}")))
}
