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
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/protocol"
)

func TestChunker(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		entries, messageBytes int
		frames                int
	}{
		"nothing is one empty frame":   {0, 0, 1},
		"one":                          {1, 0, 1},
		"few share a frame":            {500, 0, 1},
		"many are split by their size": {5000, 0, 2},
		"long ones too":                {1000, protocol.MaxMessageBytes, 6},
		"many long ones":               {20_000, protocol.MaxMessageBytes, 28},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var c chunker
			for i := range test.entries {
				entry := store.Entry{
					Record:  store.Record{Object: *configMap(fmt.Sprintf("object-%d", i), "1")},
					State:   store.Applied,
					Message: long(test.messageBytes),
				}
				if err := c.add(inventoryEntry(&entry)); err != nil {
					t.Fatal(err)
				}
			}
			frames, err := c.finish()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(frames).To(HaveLen(test.frames))

			entries, size := 0, 0
			for i, frame := range frames {
				messages, err := protocol.DecodeAgent(frame)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(messages).To(HaveLen(1))
				g.Expect(messages[0].GetInventory().GetLast()).To(Equal(i == len(frames)-1))
				entries += len(messages[0].GetInventory().GetEntries())
				size += len(frame)
			}
			g.Expect(entries).To(Equal(test.entries))
			g.Expect(size).To(BeNumerically("<", inventoryMessages+200*entries+100))
		})
	}
}
