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
	"errors"
	"path/filepath"
	"testing"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// FuzzFrames checks that whatever the hub sends, the answers keep to the protocol.
func FuzzFrames(f *testing.F) {
	broken := put(3, configMap("broken", "1"))
	broken.GetPut().Payload = []byte("\xff{")
	for _, messages := range [][]*pb.HubMessage{
		{put(1, configMap("a", "2")), put(2, configMap("a", "1")), broken, del(4, configMap("a", "2"))},
		{needInventory(), put(1, configMap("b", "x")), bookmark(), drainTo("https://b:1")},
		{del(2, configMap("a", "1")), del(1, configMap("a", "1")), welcome()},
	} {
		frame, err := protocol.EncodeHub(messages...)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	s, err := store.Open(filepath.Join(f.TempDir(), "store.db"), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	l := New(Config{Hubs: hubA, Store: s, Apply: func(...object.Key) {}, MaxObjectBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, frame []byte) {
		messages, err := protocol.DecodeHub(frame)
		if err != nil {
			return
		}
		session := newSession(l, "https://a:1", nil, newOutbox())
		session.phase = greeted
		if err := session.handle(messages); err != nil && !errors.Is(err, errProtocol) {
			t.Fatal(err)
		}
		session.out.finish(errStopped)
		for {
			frame, _, err := session.out.next(epoch)
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := protocol.DecodeAgent(frame); err != nil {
				t.Fatal(err)
			}
		}
	})
}
