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
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

var update = flag.Bool("update", false, "write the seed corpus of the fuzz tests anew")

// Whatever comes in is refused as malformed, or comes out within the limits and the
// same when it is encoded again.
func FuzzDecodeAgent(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		messages, err := DecodeAgent(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not called malformed", err)
			}
			return
		}
		frame, err := EncodeAgent(messages...)
		if err != nil {
			t.Fatal(err)
		}
		if len(frame) > MaxAgentFrameBytes {
			return
		}
		again, err := DecodeAgent(frame)
		if err != nil || !proto.Equal(&pb.AgentFrame{Messages: again}, &pb.AgentFrame{Messages: messages}) {
			t.Fatalf("decoded again: %v", err)
		}
	})
}

func FuzzDecodeHub(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		messages, err := DecodeHub(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not called malformed", err)
			}
			return
		}
		frame, err := EncodeHub(messages...)
		if err != nil {
			t.Fatal(err)
		}
		if len(frame) > MaxHubFrameBytes {
			return
		}
		again, err := DecodeHub(frame)
		if err != nil || !proto.Equal(&pb.HubFrame{Messages: again}, &pb.HubFrame{Messages: messages}) {
			t.Fatalf("decoded again: %v", err)
		}
	})
}

// The seed corpus is one of each message, one frame of all, and one of each way to be
// malformed. It is in testdata/fuzz, where go test finds it.
func TestSeedCorpus(t *testing.T) {
	t.Parallel()
	var agent, hub [][]byte
	for _, message := range goodAgentMessages() {
		agent = append(agent, encoded(t, &pb.AgentFrame{Messages: []*pb.AgentMessage{message}}))
	}
	for _, message := range goodHubMessages() {
		hub = append(hub, encoded(t, &pb.HubFrame{Messages: []*pb.HubMessage{message}}))
	}
	agent = append(agent, encoded(t, &pb.AgentFrame{Messages: goodAgentMessages()}))
	hub = append(hub, encoded(t, &pb.HubFrame{Messages: goodHubMessages()}))
	for _, name := range []string{"empty messages", "groups", "numbers", "inventory with empty entries", "full applied", "one message of many empty ack"} {
		agent = append(agent, hostile(64)[name])
		hub = append(hub, hostile(64)[name])
	}
	sameCorpus(t, "FuzzDecodeAgent", agent)
	sameCorpus(t, "FuzzDecodeHub", hub)
}

func encoded(t *testing.T, frame proto.Message) []byte {
	t.Helper()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(frame)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func sameCorpus(t *testing.T, target string, seeds [][]byte) {
	t.Helper()
	for i, seed := range seeds {
		path := filepath.Join("testdata", "fuzz", target, fmt.Sprintf("seed-%02d", i))
		want := "go test fuzz v1\n[]byte(" + strconv.Quote(string(seed)) + ")\n"
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is out of date (%v): run go test ./internal/protocol -run TestSeedCorpus -update", path, err)
		}
	}
}
