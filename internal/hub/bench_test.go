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

package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/protocol"
)

// acknowledge answers all that comes with one ack for each frame, until it has counted
// total objects.
func (a *agent) acknowledge(total int) error {
	_ = a.conn.SetReadDeadline(time.Time{})
	for got := 0; got < total; {
		_, data, err := a.conn.ReadMessage()
		if err != nil {
			return err
		}
		messages, err := protocol.DecodeHub(data)
		if err != nil {
			return err
		}
		var last uint64
		for _, message := range messages {
			if put := message.GetPut(); put != nil {
				last = put.GetSequence()
				got++
			}
		}
		if last == 0 {
			continue
		}
		frame, err := protocol.EncodeAgent(ack(last))
		if err == nil {
			err = a.conn.WriteMessage(websocket.BinaryMessage, frame)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkSessionDeliver delivers objects of 1 KB over TLS on the loopback to an
// agent that acknowledges at once and keeps nothing. Figures are per object, and
// include the agent's.
func BenchmarkSessionDeliver(b *testing.B) {
	w := newWorld(b, newTCP(b))
	w.addNode("edge-1")
	items := make([]desired.Item, b.N)
	for i := range items {
		items[i] = configMap(fmt.Sprint("object-", i), "10", fmt.Sprintf("%01024d", i))
	}
	w.tables[configMaps].Replace(items, "10")
	a := w.connect("edge-1")
	frame, err := protocol.EncodeAgent(hello(newReplica()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := a.conn.WriteMessage(websocket.BinaryMessage, frame); err != nil {
		b.Fatal(err)
	}
	if err := a.acknowledge(b.N); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

// BenchmarkFanOut changes one object of 1 KB that a hundred nodes hold, and waits
// until each has it. Figures are per object delivered.
func BenchmarkFanOut(b *testing.B) {
	const nodes = 100
	w := newWorld(b, newTCP(b))
	received := make(chan error, nodes)
	for i := range nodes {
		w.addNode(fmt.Sprint("edge-", i))
		a := w.connect(fmt.Sprint("edge-", i))
		a.sync(newReplica())
		w.background.Go(func() {
			for err := error(nil); err == nil; {
				err = a.acknowledge(1)
				received <- err
			}
		})
	}
	b.ReportAllocs()
	version := 10
	for b.Loop() {
		version++
		w.put(configMap("a", fmt.Sprint(version), fmt.Sprintf("%01024d", version)))
		for range nodes {
			if err := <-received; err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N*nodes)/b.Elapsed().Seconds(), "objects/s")
}
