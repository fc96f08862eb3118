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
	"context"
	"crypto/tls"
	"testing"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
)

// panicker is an observer that panics when it is told of one node.
type panicker struct {
	*observer
	onEvent, onProgress string
}

func (p panicker) OnNodeEvent(node string) {
	if node == p.onEvent {
		panic("the event of " + node)
	}
	p.observer.OnNodeEvent(node)
}

func (p panicker) OnProgress(node string, keys []object.Key) {
	if node == p.onProgress {
		panic("the progress of " + node)
	}
	p.observer.OnProgress(node, keys)
}

// A panic ends the session that it happens in, in either of its goroutines, and no
// other.
func TestPanicEndsOneSession(t *testing.T) {
	for name, panics := range map[string]panicker{
		"of the reader": {onEvent: "edge-1"},
		"of the writer": {onProgress: "edge-1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newTCP(t), func(o *Options) {
				panics.observer = newObserver()
				o.Observer = panics
			})
			w.addNode("edge-1")
			w.addNode("edge-2")
			w.put(configMap("a", "10", "a"))
			before := gathered(w.g)
			other, r := w.connect("edge-2"), newReplica()
			other.sync(r)

			a := w.connect("edge-1")
			a.send(hello(newReplica()))
			closed := a.closed()
			w.g.Expect(closed.Code).To(Equal(websocket.CloseInternalServerErr))
			w.g.Expect(closed.Text).To(Equal("the hub has failed: its log says how"))
			w.eventually(w.hub.Sessions).Should(Equal(1))
			w.eventually(func() []string {
				return w.logs.of("Ends a session that has panicked", `"node":"edge-1"`, "panic_test.go")
			}).
				ShouldNot(BeEmpty())
			w.g.Expect(gathered(w.g)["refused_connections_total panic"] - before["refused_connections_total panic"]).To(BeEquivalentTo(1))

			w.put(configMap("b", "11", "b"))
			w.g.Expect(names(other.follow(r))).To(Equal([]string{"+b", "bookmark"}))
		})
	}
}

// A connection whose admission panics leaves nothing behind that a shutdown waits for.
func TestPanicOfTheAdmission(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		_, _, err := w.openWith([]tls.Certificate{certificate(t, w.ca, "edge-1")})
		w.g.Expect(err).To(HaveOccurred())
		w.hub.running.Wait()
		w.g.Expect(w.hub.connections).To(BeZero())
		w.g.Expect(w.logs.of("Ends a request that has panicked", "the admission of edge-1")).To(HaveLen(1))
	}, func(o *Options) {
		o.Admit = func(_ context.Context, peer pki.Peer) error { panic("the admission of " + peer.Name) }
	})
}
