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

// Package payload makes the payloads of objects small for the wire, and reads them again:
// compressed, or as a difference to a payload that the other side has. Both are zstd
// frames (RFC 8878); a difference has the other payload for a raw dictionary, as zstd
// --patch-from makes them, and goes without the magic number. Its functions may be called concurrently.
package payload

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// ErrTooLarge is wrapped by the errors of Decode about a payload that has, or claims to
// have, more bytes than are accepted.
var ErrTooLarge = errors.New("payload too large")

// class is a sort of encoder: it sees window bytes back, the dictionary among them, and
// takes about as much memory, and that of the tables of its level.
type class struct {
	window int
	level  zstd.EncoderLevel
	// plain encoders have no dictionary. One that has had one, has one for ever: to change
	// between the two means to make a new encoder.
	plain, withDictionary sync.Pool
}

// classes, by window. Small payloads are many, so encoding them is to be fast (50 µs for
// 1 KB). In larger ones the tables of the fast levels find little: they take 1 ms for
// 100 KB, and 150 ms for 3 MB.
var classes = []*class{
	{window: 32 << 10, level: zstd.SpeedFastest},
	{window: 512 << 10, level: zstd.SpeedDefault},
	{window: 8 << 20, level: zstd.SpeedBetterCompression},
}

func classFor(bytes int) *class {
	for _, c := range classes {
		if bytes <= c.window {
			return c
		}
	}
	return nil
}

// encode encodes with dictionary, or without one if it is empty.
func (c *class) encode(dictionary, payload []byte) []byte {
	pool, options := &c.plain, []zstd.EOption(nil)
	if len(dictionary) > 0 {
		pool, options = &c.withDictionary, []zstd.EOption{zstd.WithEncoderDictRaw(0, dictionary)}
	}
	encoder, _ := pool.Get().(*zstd.Encoder)
	if encoder == nil {
		encoder = c.encoder()
	}
	defer pool.Put(encoder)
	must(encoder.ResetWithOptions(nil, options...))
	return encoder.EncodeAll(payload, make([]byte, 0, 128))
}

func (c *class) encoder() *zstd.Encoder {
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(c.level),
		zstd.WithWindowSize(c.window),
		zstd.WithLowerEncoderMem(true),
		// So that the content size is in every frame, however small.
		zstd.WithSingleSegment(true),
		zstd.WithZeroFrames(true))
	must(err)
	return encoder
}

// must is for what fails only if an option is not one.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Compress is the payload as one zstd frame, for ENCODING_ZSTD; nil if it is too large.
func Compress(payload []byte) []byte {
	return encode(nil, payload)
}

// Delta is the payload as one zstd frame with base as a raw dictionary and without the magic
// number, for ENCODING_ZSTD_DELTA; nil if both together are too large, which they are above
// 8 MiB.
func Delta(base, payload []byte) []byte {
	frame := encode(base, payload)
	if frame == nil {
		return nil
	}
	return frame[len(magic):]
}

// magic begins every zstd frame (RFC 8878, 3.1.1).
var magic = []byte{0x28, 0xb5, 0x2f, 0xfd}

func encode(base, payload []byte) []byte {
	c := classFor(len(base) + len(payload))
	if c == nil {
		return nil
	}
	return c.encode(base, payload)
}

var decoders = sync.Pool{New: func() any {
	decoder, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true))
	must(err)
	return decoder
}}

// Decode is the payload that travelled as data in an encoding, of at most maxBytes. base
// is what the difference is to, and counts for no other encoding. It takes memory for no
// more than the payload, whatever data claims.
func Decode(encoding pb.Encoding, base, data []byte, maxBytes int) ([]byte, error) {
	switch encoding {
	case pb.Encoding_ENCODING_JSON:
		if len(data) > maxBytes {
			return nil, tooLarge(uint64(len(data)), maxBytes)
		}
		return data, nil
	case pb.Encoding_ENCODING_ZSTD:
		return decode(nil, data, maxBytes)
	case pb.Encoding_ENCODING_ZSTD_DELTA:
		return decode(base, slices.Concat(magic, data), maxBytes)
	default:
		return nil, fmt.Errorf("unknown encoding %d", encoding)
	}
}

func tooLarge(bytes uint64, maxBytes int) error {
	return fmt.Errorf("%w: %d bytes, more than %d", ErrTooLarge, bytes, maxBytes)
}

func decode(dictionary, data []byte, maxBytes int) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(data); err != nil {
		return nil, fmt.Errorf("read the header of a zstd frame: %w", err)
	}
	switch {
	case header.Skippable, !header.HasFCS, !header.HasCheckSum && header.FrameContentSize > 0:
		return nil, errors.New("a zstd frame without content size and checksum")
	case header.FrameContentSize > uint64(max(maxBytes, 0)):
		return nil, tooLarge(header.FrameContentSize, maxBytes)
	}
	decoder := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(decoder)
	options := []zstd.DOption{zstd.WithDecoderMaxMemory(max(header.FrameContentSize, zstd.MinWindowSize))}
	if len(dictionary) > 0 {
		options = append(options, zstd.WithDecoderDictRaw(0, dictionary))
	}
	must(decoder.ResetWithOptions(nil, options...))
	defer func() { must(decoder.ResetWithOptions(nil, zstd.WithDecoderDictDelete())) }()
	payload, err := decoder.DecodeAll(data, make([]byte, 0, header.FrameContentSize))
	if err != nil {
		return nil, fmt.Errorf("decode a zstd frame: %w", err)
	}
	return payload, nil
}
