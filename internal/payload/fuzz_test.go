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
	"testing"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Whatever comes in, what comes out is within the limit.
func FuzzDecode(f *testing.F) {
	base, payload := configMap(4, 20, "before"), configMap(4, 20, "after")
	f.Add(true, base, Delta(base, payload))
	f.Add(false, []byte{}, Compress(payload))
	f.Add(false, base, Compress(bytes.Repeat([]byte("a"), 4000)))
	f.Fuzz(func(t *testing.T, difference bool, base, data []byte) {
		const most = 2048
		encoding := pb.Encoding_ENCODING_ZSTD
		if difference {
			encoding = pb.Encoding_ENCODING_ZSTD_DELTA
		}
		decoded, err := Decode(encoding, base, data, most)
		if err == nil && len(decoded) > most || err != nil && decoded != nil {
			t.Fatalf("%d bytes, %v", len(decoded), err)
		}
	})
}

// Whatever is encoded comes out the same.
func FuzzDelta(f *testing.F) {
	f.Add(configMap(4, 20, "before"), configMap(4, 20, "after"))
	f.Add([]byte{}, []byte("a"))
	f.Fuzz(func(t *testing.T, base, payload []byte) {
		decoded, err := Decode(pb.Encoding_ENCODING_ZSTD_DELTA, base, Delta(base, payload), len(payload))
		if err != nil || !bytes.Equal(decoded, payload) {
			t.Fatalf("decoded wrongly: %v", err)
		}
	})
}

func BenchmarkDelta(b *testing.B) {
	for name, keys := range map[string]int{"1KB": 10, "100KB": 1000, "3MB": 30_000} {
		base, payload := configMap(keys, 80, "value-1"), configMap(keys, 80, "value-22")
		encoded := Delta(base, payload)
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Delta(base, payload)
			}
			b.ReportMetric(float64(len(encoded)), "bytes")
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(pb.Encoding_ENCODING_ZSTD_DELTA, base, encoded, len(payload)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
