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

package controllers

import (
	"testing"

	. "github.com/onsi/gomega"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// A replica that dies is no reason to look at the nodes of all others first.
func TestNodesThatNobodySpeaksFor(t *testing.T) {
	t.Parallel()
	elected := make(chan struct{})
	close(elected)
	for name, c := range map[string]struct {
		recorded    string // the replica of the session in status
		here, leads bool
		marked      bool
	}{
		"recorded at one that lives":       {recorded: "lives", leads: true},
		"recorded at one that died":        {recorded: "dead", leads: true, marked: true},
		"recorded and connected here":      {recorded: "self", here: true, leads: true},
		"recorded here, and gone":          {recorded: "self", marked: true},
		"connected here, recorded there":   {recorded: "lives", here: true, marked: true},
		"connected here, not recorded":     {here: true, marked: true},
		"away, while this one leads":       {leads: true, marked: true},
		"away, while this one only serves": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			fleet := &fakeFleet{trigger: NewStatusTrigger(), nodes: map[string]*fakeNode{}}
			if c.here {
				fleet.connect("edge", "s1")
			}
			node := edgeNode("edge", nil)
			if c.recorded != "" {
				node.Status.Session = &syncv1alpha1.EdgeNodeSession{ID: "s1", Replica: c.recorded}
			}
			trigger := NewStatusTrigger()
			r := &edgeNodeReconciler{
				Options:  Options{Fleet: fleet, Trigger: trigger, Replicas: newFakeReplicas("lives").as("self"), Replica: "self"},
				memories: map[string]*nodeMemory{"edge": {node: node}},
			}
			if c.leads {
				r.elected = elected
			}
			r.markUnattended()
			if c.marked {
				g.Expect(trigger.nodes.take(1)).To(Equal([]string{"edge"}))
			} else {
				g.Expect(trigger.nodes.take(1)).To(BeEmpty())
			}
		})
	}
}
