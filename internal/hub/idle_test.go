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
	"runtime"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// An idle session costs one goroutine, and a session that has ended none, whatever it
// was waiting for.
func TestGoroutinesOfSessions(t *testing.T) {
	const sessions = 20
	w := newWorld(t, newTCP(t))
	w.put(configMap("a", "10", "a"))
	w.eventually(func() []string { return w.logs.of("Serving nodes") }).Should(HaveLen(1))
	before := runtime.NumGoroutine()
	var agents []*agent
	for i := range sessions {
		node := fmt.Sprint("edge-", i)
		w.addNode(node)
		a := w.connect(node)
		a.send(hello(newReplica()))
		a.nextWelcome()
		a.send(nack(&pb.Nack{
			Sequence: a.nextPut().GetSequence(), Code: pb.NackCode_NACK_CODE_RETRY,
			RetryAfterMs: uint32(time.Hour.Milliseconds()),
		}))
		w.eventually(func() int { state, _ := w.hub.Node(node); return state.Summary.Failed }).Should(Equal(1))
		agents = append(agents, a)
	}
	w.eventually(runtime.NumGoroutine).Should(Equal(before + sessions))
	for _, a := range agents {
		a.hangUp()
	}
	w.eventually(runtime.NumGoroutine).Should(Equal(before))
}
