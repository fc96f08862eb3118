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
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// ahead is the view of a replica that has taken in the EdgeNode at resource version 100.
func ahead() []byte {
	other := desired.NewIndex(nil)
	other.Advance(desired.EdgeNodes, "100")
	return other.Horizon()
}

func helloWithView(r *replica, view []byte) *pb.AgentMessage {
	message := hello(r)
	message.GetHello().View = view
	return message
}

// A replica that lags does not take away what it does not know of.
func TestReplicaThatLagsWaitsUntilItKnows(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		a, r := w.connect("edge-1"), newReplica()
		a.send(helloWithView(r, ahead()))
		time.Sleep(viewPatience / 2)
		synctest.Wait()
		w.g.Expect(w.hub.Sessions()).To(BeZero())
		w.put(configMap("a", "10", "a"))
		w.index.Advance(desired.EdgeNodes, "100")
		a.nextWelcome()
		w.g.Expect(a.next().GetPut()).NotTo(BeNil())
	})
}

func TestReplicaThatStaysBehindSendsTheNodeElsewhere(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		a := w.connect("edge-1")
		start := time.Now()
		a.send(helloWithView(newReplica(), ahead()))
		closed := a.closed()
		w.g.Expect(closed.Code).To(Equal(protocol.CloseRefused))
		w.g.Expect(closed.Text).To(ContainSubstring("does not know yet what the node has seen"))
		w.g.Expect(time.Since(start)).To(BeNumerically("<", viewPatience+currentInterval+currentTimeout))
		w.g.Expect(w.hub.Sessions()).To(BeZero())
		w.g.Expect(w.observer.nodeEvents("edge-1")).To(BeZero())
	}, func(o *Options) {
		o.Current = func(context.Context) (string, error) { return "100", nil }
	})
}

func TestReplicaThatCannotAskSendsTheNodeElsewhere(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		a := w.connect("edge-1")
		a.send(helloWithView(newReplica(), ahead()))
		w.g.Expect(a.closed().Code).To(Equal(protocol.CloseRefused))
	}, func(o *Options) {
		o.Current = func(context.Context) (string, error) { return "", errors.New("no API server") }
	})
}

// What was restored from a backup is all that there is: no replica will ever know more.
func TestViewFromBeforeARestoreIsIgnored(t *testing.T) {
	var asked atomic.Int32
	inBubble(t, func(_ *testing.T, w *world) {
		w.put(configMap("a", "10", "a"))
		const nodes = 20
		var agents []*agent
		for i := range nodes {
			name := fmt.Sprintf("edge-%d", i)
			w.addNode(name)
			agents = append(agents, w.connect(name))
		}
		for _, a := range agents {
			a.send(helloWithView(newReplica(), ahead()))
		}
		for _, a := range agents {
			a.nextWelcome()
			w.g.Expect(a.next().GetPut()).NotTo(BeNil())
		}
		w.g.Expect(asked.Load()).To(BeNumerically("<=", 2), "one answer serves them all")
	}, func(o *Options) {
		o.Current = func(context.Context) (string, error) { asked.Add(1); return "99", nil }
	})
}

// An answer counts only if it was asked for after the view had come.
func TestCurrentVersionIsAskedAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		version, release := "1", make(chan struct{})
		c := &currentVersion{ask: func(context.Context) (string, error) {
			answer := version
			<-release
			return answer, nil
		}}
		first := make(chan string)
		go func() { answer, _ := c.read(nil); first <- answer }()
		synctest.Wait()
		version = "2"
		second := make(chan string)
		go func() { answer, _ := c.read(nil); second <- answer }()
		close(release)
		g.Expect(<-first).To(Equal("1"))
		start := time.Now()
		g.Expect(<-second).To(Equal("2"))
		g.Expect(time.Since(start)).To(Equal(currentInterval), "and not more often")

		done := make(chan struct{})
		close(done)
		_, err := c.read(done)
		g.Expect(err).To(MatchError(errEnded))
	})
}
