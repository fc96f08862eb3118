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
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func (a *agent) nextDrain() *pb.Drain {
	a.t.Helper()
	message := a.beyond()
	a.g.Expect(message.GetDrain()).NotTo(BeNil(), "%T", message.GetBody())
	return message.GetDrain()
}

func TestDrainAsksNodesToGo(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.put(configMap("a", "10", "a"))
		a, r := w.connect("edge-1"), newReplica()
		a.send(hello(r))
		a.nextWelcome()
		put := a.next()
		w.g.Expect(put.GetPut()).NotTo(BeNil())
		start := time.Now()
		w.background.Go(w.stop)
		w.g.Expect(a.nextDrain().GetDeadlineMs()).To(BeEquivalentTo(w.hub.options.DrainTimeout.Milliseconds()))

		// What is under way still counts, and nothing new is sent.
		a.send(r.take(put)...)
		w.settled("edge-1", 1)
		w.put(configMap("b", "11", "b"))
		a.hangUp()
		w.stop()
		w.g.Expect(time.Since(start)).To(BeNumerically("<", time.Second))
		w.g.Expect(w.hub.Sessions()).To(BeZero())
	})
}

// The nodes of a replica do not come to the others as one wave, and the last one still has time.
func TestDrainIsSpread(t *testing.T) {
	for _, timeout := range []time.Duration{20 * time.Second, 40 * time.Millisecond} {
		inBubble(t, func(_ *testing.T, w *world) {
			const nodes = 20
			asked := make(chan *pb.Drain, nodes)
			for i := range nodes {
				name := fmt.Sprintf("edge-%d", i)
				w.addNode(name)
				a := w.connect(name)
				a.sync(newReplica())
				w.background.Go(func() {
					defer a.hangUp()
					asked <- a.nextDrain()
				})
			}
			interval := min(drainInterval, timeout*3/4/nodes)
			start := time.Now()
			w.background.Go(w.stop)
			for i := range nodes {
				drain := <-asked
				passed := time.Duration(i) * interval
				w.g.Expect(time.Since(start)).To(Equal(passed))
				w.g.Expect(drain.GetDeadlineMs()).To(BeEquivalentTo((timeout - passed).Milliseconds()))
			}
			w.stop()
		}, func(o *Options) { o.DrainTimeout = timeout })
	}
}

// shortDrain is shorter than a connection may take for its Hello.
func shortDrain(o *Options) { o.DrainTimeout = 5 * time.Second }

func TestDrainEndsWhoStays(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.addNode("edge-2")
		staying, r := w.connect("edge-1"), newReplica()
		staying.sync(r)
		silent := w.connect("edge-2")
		opening := w.connect("edge-3")
		message := hello(r)
		message.GetHello().InventoryCount = 1
		opening.send(message)
		opening.nextWelcome()
		w.g.Expect(opening.next().GetNeedInventory()).NotTo(BeNil())

		start := time.Now()
		w.background.Go(w.stop)
		synctest.Wait()
		_, response, err := w.open("edge-4")
		w.g.Expect(err).To(HaveOccurred())
		w.g.Expect(response.StatusCode).To(Equal(http.StatusServiceUnavailable))
		w.g.Expect(body(w.g, response)).To(Equal("the hub is shutting down"))
		w.g.Expect(response.Header.Get("Retry-After")).To(Equal("1"))

		staying.nextDrain()
		for _, a := range []*agent{staying, silent, opening} {
			w.g.Expect(a.closed().Code).To(Equal(protocol.CloseDraining))
		}
		w.stop()
		w.g.Expect(time.Since(start)).To(Equal(w.hub.options.DrainTimeout))
	}, shortDrain)
}

// A session that begins while the hub drains is drained too.
func TestSessionThatBeginsDuringDrain(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.put(configMap("a", "10", "a"))
		a := w.connect("edge-1")
		w.background.Go(w.stop)
		synctest.Wait()
		a.send(hello(newReplica()))
		a.nextWelcome()
		a.nextDrain()
		a.hangUp()
		w.stop()
	})
}

// Retries that are due do not keep the writer of a draining session busy: in a bubble
// a busy loop would never let time pass.
func TestDrainWithRetryDue(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.put(configMap("a", "10", "a"))
		a := w.connect("edge-1")
		a.send(hello(newReplica()))
		a.nextWelcome()
		a.send(nack(&pb.Nack{Sequence: a.nextPut().GetSequence(), Code: pb.NackCode_NACK_CODE_RETRY}))
		synctest.Wait()
		start := time.Now()
		w.background.Go(w.stop)
		a.nextDrain()
		w.g.Expect(a.closed().Code).To(Equal(protocol.CloseDraining))
		w.stop()
		w.g.Expect(time.Since(start)).To(Equal(w.hub.options.DrainTimeout))
	})
}
