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

package hostile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Attacks of one machine that had joined and is in other hands now.
func compromisedNodes() []attack {
	return []attack{
		{
			name: "two sessions that fight for one name", run: fight,
			gets: []string{"session", "close 4001", "HTTP 429"}, counted: []string{refused("duplicate")},
		},
		{
			name: "2,000 connections of one node that say no Hello", run: crowd,
			gets: []string{"close 4001"}, counted: []string{refused("replaced")},
		},
		{name: "node that reads nothing while its objects change", run: stall, gets: []string{"nothing"}},
		{name: "acks that are right, and as many as a frame holds", run: busyAcks, gets: []string{"nothing"}},
		{
			name: "renewals as fast as they go", run: renewals,
			gets: []string{"HTTP 200", "HTTP 429"}, counted: []string{notRenewed("rate_limited")},
		},
	}
}

// fight has two machines with one certificate take the session from each other, until
// they have to wait.
func fight(s *siege) {
	stolen := s.enlist()
	ctx, stop := context.WithCancel(context.Background())
	var fighters sync.WaitGroup
	for i := range 2 {
		as, bootID := stolen.at(s.elsewhere()), fmt.Sprint("boot-", i)
		fighters.Go(func() {
			for ctx.Err() == nil {
				s.takeOver(ctx, as, bootID)
			}
		})
	}
	s.hold()
	s.g.Eventually(s.count).WithArguments("HTTP 429").WithTimeout(patience).Should(BeNumerically(">", 0))
	stop()
	fighters.Wait()
}

// takeOver opens a session and keeps it until it ends or ctx is done.
func (s *siege) takeOver(ctx context.Context, as caller, bootID string) {
	l, outcome := s.tryOpen(as)
	if l == nil {
		s.add(outcome)
		return
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	if err := l.greet(func(h *pb.Hello) { h.BootId = bootID }); err == nil {
		s.add("session")
		outcome = l.end()
	} else {
		outcome = describe(err)
	}
	if ctx.Err() == nil {
		s.add(outcome)
	}
}

// crowd keeps every connection for as long as the hub does.
func crowd(s *siege) {
	as := s.enlist().at(s.elsewhere())
	var mu sync.Mutex
	open := map[*link]bool{}
	s.start()
	var reading sync.WaitGroup
	err := inParallel(16, 2000, func(int) error {
		l, _, err := s.open(as)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		open[l] = true
		reading.Go(func() {
			outcome := l.end()
			mu.Lock()
			defer mu.Unlock()
			if open[l] {
				s.add(outcome)
			}
			delete(open, l)
		})
		return nil
	})
	s.g.Expect(err).NotTo(HaveOccurred())
	s.hold()
	s.g.Eventually(func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(open)
	}).WithTimeout(patience).Should(BeNumerically("<=", 1), "connections that are kept")
	mu.Lock()
	last := open
	open = map[*link]bool{}
	mu.Unlock()
	for l := range last {
		_ = l.Close()
	}
	reading.Wait()
}

// bulk is the namespace of objects that fill the window of a session, and more.
const (
	bulk        = "bulk"
	bulkObjects = 400
	bulkBytes   = 16 << 10
)

func bulkObject(i int) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: bulk, Name: fmt.Sprintf("bulk-%d", i), Labels: map[string]string{syncLabel: bulk}},
		Data:       map[string]string{"filler": strings.Repeat("x", bulkBytes)},
	}
}

// stall says that it is alive and takes nothing, with little room for what is under way. What
// the hub has sent is all that it sends: one window, however much changes.
func stall(s *siege) {
	stolen := s.enlist()
	s.label(stolen.name, bulk)
	as := stolen.at(s.elsewhere())
	as.receiveBuffer = 4 << 10
	l := s.connect(as)
	defer l.Close()
	s.g.Expect(l.send(hello())).To(Succeed())
	s.start()
	ctx, cancel := context.WithCancel(context.Background())
	changing := make(chan error, 1)
	go func() { changing <- s.changeBulk(ctx) }()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; s.goOn(i, 100); i++ {
		<-ticker.C
		s.g.Expect(l.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience))).To(Succeed())
	}
	s.add("nothing")
	cancel()
	s.g.Expect(<-changing).To(Succeed())
}

// changeBulk changes one object after the other.
func (s *siege) changeBulk(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		object := bulkObject(n % bulkObjects)
		patch := fmt.Sprintf(`{"data":{"change":"%d"}}`, n)
		err := s.client.Patch(context.Background(), object, client.RawPatch("application/merge-patch+json", []byte(patch)))
		if err != nil {
			return err
		}
	}
	return nil
}

// busyAcks has got objects, and names in each frame 12,288 times all those that it has
// acknowledged before.
func busyAcks(s *siege) {
	const acknowledged = 100
	stolen := s.enlist()
	s.label(stolen.name, bulk)
	l := s.connect(stolen.at(s.elsewhere()))
	defer l.Close()
	s.g.Expect(l.send(hello())).To(Succeed())
	for sequence := uint64(0); sequence < acknowledged; {
		sequence = l.nextPut(s.g).GetSequence()
		s.g.Expect(l.send(&pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Cumulative: sequence}}})).To(Succeed())
	}
	var ranges []*pb.SequenceRange
	for range protocol.MaxEntries {
		ranges = append(ranges, &pb.SequenceRange{First: 1, Last: acknowledged})
	}
	ack := &pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Ranges: ranges}}}
	for i := 0; s.goOn(i, 1); i++ {
		s.g.Expect(l.send(ack, ack, ack)).To(Succeed())
	}
	s.g.Expect(l.ping()).To(Succeed())
	s.add("nothing")
}

func renewals(s *siege) {
	as := s.enlist().at(s.elsewhere())
	for i := 0; s.goOn(i, 8); i++ {
		s.add(s.renew(as))
	}
}
