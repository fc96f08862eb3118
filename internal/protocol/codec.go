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

package protocol

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// ErrMalformed is wrapped by every error about what a peer sent.
var ErrMalformed = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

// EncodeAgent encodes messages of an agent as one frame.
func EncodeAgent(messages ...*pb.AgentMessage) ([]byte, error) {
	return proto.Marshal(&pb.AgentFrame{Messages: messages})
}

// EncodeHub encodes messages of the hub as one frame.
func EncodeHub(messages ...*pb.HubMessage) ([]byte, error) {
	return proto.Marshal(&pb.HubFrame{Messages: messages})
}

// DecodeAgent decodes a frame of an agent and checks it against the limits. What it
// returns needs no further check but that of its meaning.
func DecodeAgent(data []byte) ([]*pb.AgentMessage, error) {
	if err := boundMemory(data, MaxAgentFrameBytes); err != nil {
		return nil, err
	}
	var frame pb.AgentFrame
	if err := proto.Unmarshal(data, &frame); err != nil {
		return nil, malformed("%w", err)
	}
	for _, message := range frame.GetMessages() {
		if err := checkAgentMessage(message); err != nil {
			return nil, err
		}
	}
	return frame.GetMessages(), nil
}

// DecodeHub decodes a frame of the hub and checks it against the limits.
func DecodeHub(data []byte) ([]*pb.HubMessage, error) {
	if err := boundMemory(data, MaxHubFrameBytes); err != nil {
		return nil, err
	}
	var frame pb.HubFrame
	if err := proto.Unmarshal(data, &frame); err != nil {
		return nil, malformed("%w", err)
	}
	for _, message := range frame.GetMessages() {
		if err := checkHubMessage(message); err != nil {
			return nil, err
		}
	}
	return frame.GetMessages(), nil
}

// boundMemory refuses frames whose decoding would take far more memory than their
// own size: an empty message takes two bytes on the wire and a hundred in memory.
func boundMemory(data []byte, maxBytes int) error {
	if len(data) > maxBytes {
		return malformed("%d bytes, more than %d", len(data), maxBytes)
	}
	total := 0
	return eachField(data, MaxFrameMessages, func(message []byte) error {
		return eachField(message, 1, func(body []byte) error {
			return eachField(body, MaxEntries+16, func([]byte) error {
				if total++; total > 4*MaxFrameMessages {
					return malformed("too many fields")
				}
				return nil
			})
		})
	})
}

// eachField visits the length-delimited fields of an encoded message, at most most of them.
func eachField(data []byte, most int, visit func(value []byte) error) error {
	for count := 0; len(data) > 0; {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return malformed("%w", protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(number, kind, data[n:])
		if size < 0 {
			return malformed("%w", protowire.ParseError(size))
		}
		if kind == protowire.BytesType {
			if count++; count > most {
				return malformed("more than %d fields in a message", most)
			}
			value, _ := protowire.ConsumeBytes(data[n:])
			if err := visit(value); err != nil {
				return err
			}
		}
		data = data[n+size:]
	}
	return nil
}

// KeyToPB converts a key to its wire form.
func KeyToPB(key object.Key) *pb.ObjectKey {
	return &pb.ObjectKey{Group: key.Group, Kind: key.Kind, Namespace: key.Namespace, Name: key.Name}
}

// KeyFromPB converts a key from its wire form.
func KeyFromPB(key *pb.ObjectKey) object.Key {
	return object.Key{Group: key.GetGroup(), Kind: key.GetKind(), Namespace: key.GetNamespace(), Name: key.GetName()}
}

// Printable makes text that others wrote fit for a log and a terminal: one line, without
// control characters, so without the sequences that command a terminal.
func Printable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, "")))
}

// Truncate makes a human-readable message fit to be sent: valid UTF-8, and cut to
// MaxMessageBytes at a rune.
func Truncate(message string) string {
	message = strings.ToValidUTF8(message, "?")
	if len(message) <= MaxMessageBytes {
		return message
	}
	const ellipsis = "…"
	cut := MaxMessageBytes - len(ellipsis)
	for cut > 0 && message[cut]&0xC0 == 0x80 {
		cut--
	}
	return message[:cut] + ellipsis
}
