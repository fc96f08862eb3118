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
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// equalMessages: gomega's Equal looks into the insides of messages.
func equalMessages[M proto.Message](t *testing.T, got, want []M) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("message %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestAgentMessagesComeThrough(t *testing.T) {
	t.Parallel()
	want := goodAgentMessages()
	frame, err := EncodeAgent(want...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeAgent(frame)
	if err != nil {
		t.Fatal(err)
	}
	equalMessages(t, got, want)
}

func TestHubMessagesComeThrough(t *testing.T) {
	t.Parallel()
	want := goodHubMessages()
	frame, err := EncodeHub(want...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeHub(frame)
	if err != nil {
		t.Fatal(err)
	}
	equalMessages(t, got, want)
}

func TestTheLargestObjectComesThrough(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	put := goodPut()
	put.Payload = make([]byte, MaxObjectBytes)
	frame, err := EncodeHub(&pb.HubMessage{Body: &pb.HubMessage_Put{Put: put}})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = DecodeHub(frame)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestFramesTooLongAreRefusedUnread(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	_, err := DecodeAgent(make([]byte, MaxAgentFrameBytes+1))
	g.Expect(err).To(MatchError(ContainSubstring("262145 bytes, more than 262144")))
	_, err = DecodeHub(make([]byte, MaxHubFrameBytes+1))
	g.Expect(err).To(MatchError(ErrMalformed))
}

func TestGarbageIsRefused(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string][]byte{
		"a tag cut short":               {0x80},
		"a length beyond the end":       {0x0a, 0x05, 0x00},
		"a length of ten bytes":         {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"field number zero":             {0x02, 0x00},
		"wire type 6":                   {0x0e},
		"a group that does not end":     {0x0b},
		"a message with no body":        {0x0a, 0x00},
		"a message of an unknown kind":  {0x0a, 0x03, 0xa2, 0x06, 0x00},
		"text that is not UTF-8":        {0x0a, 0x06, 0x0a, 0x04, 0x12, 0x02, 0xff, 0xfe},
		"a message that is not one":     {0x0a, 0x02, 0x0a, 0x01},
		"two bodies in one message":     {0x0a, 0x04, 0x1a, 0x00, 0x22, 0x00},
		"a body of the wrong wire type": {0x0a, 0x02, 0x08, 0x01},
	} {
		if _, err := DecodeAgent(frame); !errors.Is(err, ErrMalformed) {
			t.Errorf("agent: %s: %v", name, err)
		}
		if _, err := DecodeHub(frame); !errors.Is(err, ErrMalformed) {
			t.Errorf("hub: %s: %v", name, err)
		}
	}
}

func TestAnEmptyFrameIsEmpty(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	messages, err := DecodeAgent(nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(messages).To(BeEmpty())
}

func TestKeysComeThrough(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	key := object.Key{Group: "g", Kind: "k", Namespace: "ns", Name: "n"}
	g.Expect(KeyFromPB(KeyToPB(key))).To(Equal(key))
	g.Expect(KeyFromPB(nil)).To(Equal(object.Key{}))
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(Printable(" größer\n\tas is \x1b[31mred\u009b\x00\x7f\xff\u202e ")).To(Equal("größer  as is [31mred"))
	g.Expect(Printable("")).To(BeEmpty())
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{
		"empty":                   "",
		"just short enough":       strings.Repeat("x", MaxMessageBytes),
		"long":                    strings.Repeat("x", MaxMessageBytes+1),
		"long, of wide runes":     strings.Repeat("日", MaxMessageBytes),
		"long, of wider runes":    "x" + strings.Repeat("😀", MaxMessageBytes),
		"not UTF-8":               "open /etc/\xff\xfe: no",
		"long and not UTF-8":      strings.Repeat("\x80", 2*MaxMessageBytes),
		"wide runes, just enough": strings.Repeat("日", MaxMessageBytes/3),
	} {
		short := Truncate(message)
		if len(short) > MaxMessageBytes || !utf8.ValidString(short) {
			t.Errorf("%s: %d bytes, valid %t", name, len(short), utf8.ValidString(short))
		}
		if len(message) <= MaxMessageBytes && utf8.ValidString(message) && short != message {
			t.Errorf("%s: cut, though it fits", name)
		}
		if _, err := EncodeAgent(&pb.AgentMessage{Body: &pb.AgentMessage_Nack{Nack: &pb.Nack{Message: short}}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
