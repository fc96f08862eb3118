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

package link

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/go-logr/logr"

	"github.com/edgesync/edgesync/edge-agent/internal/apply"
	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/payload"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

const bulk = 1000

// benchMap is a ConfigMap of some 1 KB as the API server has it.
func benchMap(i, version int) *object.Object {
	name := fmt.Sprintf("settings-%05d", i)
	data := map[string]string{}
	for key := range 12 {
		data[fmt.Sprintf("setting-%02d", key)] = fmt.Sprintf("%x", object.DigestOf(fmt.Append(nil, i, version, key)))
	}
	content, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]any{
			"creationTimestamp": "2026-01-01T00:00:00Z", "labels": map[string]string{"app": "shop", "part": name},
			"name": name, "namespace": "shop", "uid": "0c9c0a3e-5d0b-4a53-9a55-1e7b2f8f6c11",
		},
	})
	if err != nil {
		panic(err)
	}
	return &object.Object{
		Key: object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name}, APIVersion: "v1", Resource: "configmaps",
		UID: "0c9c0a3e-5d0b-4a53-9a55-1e7b2f8f6c11", Version: fmt.Sprint(version), Digest: object.DigestOf(content), Payload: content,
	}
}

// benchPut is what the hub sends of object i in a version to a node that holds the one before.
func benchPut(encoding pb.Encoding, i, version int, sequence uint64) *pb.HubMessage {
	o := benchMap(i, version)
	switch encoding {
	case pb.Encoding_ENCODING_ZSTD_DELTA:
		return difference(sequence, benchMap(i, version-1), o)
	case pb.Encoding_ENCODING_ZSTD:
		message := put(sequence, o)
		message.GetPut().Encoding, message.GetPut().Payload = encoding, payload.Compress(o.Payload)
		return message
	default:
		return put(sequence, o)
	}
}

// BenchmarkBulk has a hub send a thousand objects of 1 KB at once over TLS, and waits until
// all of them are acknowledged. Each round has a new store, and in the last case an engine
// that writes them to files meanwhile.
func BenchmarkBulk(b *testing.B) {
	for _, bench := range []struct {
		name     string
		encoding pb.Encoding
		applied  bool
	}{
		{"JSON", pb.Encoding_ENCODING_JSON, false},
		{"ZSTD", pb.Encoding_ENCODING_ZSTD, false},
		{"JSON,applied", pb.Encoding_ENCODING_JSON, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			frames := benchFrames(b, bench.encoding, 1)
			for b.Loop() {
				b.StopTimer()
				h, s := newHub(b), openStore(b)
				enqueue, stop := func(...object.Key) {}, func() {}
				if bench.applied {
					enqueue, stop = benchEngine(b, s)
				}
				a := startAgent(b, h, s, func(c *Config) { c.Apply = enqueue })
				p, _ := h.greet()
				b.StartTimer()
				sendAndWait(b, p, frames)
				b.StopTimer()
				a.stop()
				stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(bulk*b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}

// benchEngine applies what a store holds to a directory.
func benchEngine(b *testing.B, s *store.Store) (enqueue func(...object.Key), stop func()) {
	target, err := apply.NewDirectory("files", apply.DirectoryConfig{Path: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	engine := apply.NewEngine(s, []apply.Route{{Target: target}}, apply.Options{Logger: logr.Discard()})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	return engine.Enqueue, func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}

// benchFrames are frames of some 64 KB.
func benchFrames(b *testing.B, encoding pb.Encoding, version int) (frames [][]byte) {
	const perFrame = 50
	for first := 0; first < bulk; first += perFrame {
		var messages []*pb.HubMessage
		for i := first; i < first+perFrame; i++ {
			messages = append(messages, benchPut(encoding, i, version, uint64(i+1)))
		}
		frames = append(frames, encodeHub(b, messages...))
	}
	return frames
}

func sendAndWait(b *testing.B, p *peer, frames [][]byte) {
	go func() {
		for _, frame := range frames {
			_ = p.conn.WriteMessage(2, frame)
		}
	}()
	for acked := uint64(0); acked < bulk; {
		if ack := p.next().GetAck(); ack != nil {
			acked = ack.GetCumulative()
		}
	}
}

// BenchmarkReceive is what the agent does with a message before it commits it.
func BenchmarkReceive(b *testing.B) {
	for _, encoding := range []pb.Encoding{pb.Encoding_ENCODING_JSON, pb.Encoding_ENCODING_ZSTD, pb.Encoding_ENCODING_ZSTD_DELTA} {
		b.Run(encoding.String(), func(b *testing.B) {
			s := openStore(b)
			ops := batchOf(nil, protocol.MaxObjectBytes)
			for i := range bulk {
				if err := ops.put(benchPut(pb.Encoding_ENCODING_JSON, i, 1, uint64(i+1)).GetPut()); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := s.Commit(ops.ops); err != nil {
				b.Fatal(err)
			}
			frames := benchFrames(b, encoding, 2)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				ops := batchOf(nil, protocol.MaxObjectBytes)
				ops.held = s.Get
				for _, frame := range frames {
					messages, err := protocol.DecodeHub(frame)
					if err != nil {
						b.Fatal(err)
					}
					for _, message := range messages {
						if err := ops.put(message.GetPut()); err != nil {
							b.Fatal(err)
						}
					}
				}
				if len(ops.refused) > 0 {
					b.Fatal(ops.refused[0])
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(bulk*b.N), "µs/object")
		})
	}
}
