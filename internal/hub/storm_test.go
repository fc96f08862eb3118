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

	. "github.com/onsi/gomega"
)

// All the nodes behind one address come back at once, many more than there is room for, and
// each gets in at its first attempt. In a bubble no time passes while anybody computes.
func TestStormFromOneAddress(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const nodes, maxPending = 64, 8
		w.maxPending = maxPending
		w.restart(newPipes())
		before := gathered(w.g)
		errs := make(chan error, nodes)
		for i := range nodes {
			name := fmt.Sprintf("edge-%d", i)
			w.addNode(name)
			go func() {
				a, _, err := w.open(name)
				if err == nil {
					a.sync(newReplica())
					t.Cleanup(a.hangUp)
				}
				errs <- err
			}()
		}
		for range nodes {
			w.g.Expect(<-errs).To(Succeed())
		}
		w.g.Expect(w.hub.Sessions()).To(Equal(nodes))
		w.g.Expect(gathered(w.g)["refused_connections_total pending"]).To(Equal(before["refused_connections_total pending"]))
	})
}
