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
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestPhases(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		phase   phase
		message *pb.HubMessage
		after   phase
		broken  bool
	}{
		"welcome first":           {awaitingWelcome, welcome(), greeted, false},
		"put before welcome":      {awaitingWelcome, put(1, configMap("a", "1")), awaitingWelcome, true},
		"bookmark before welcome": {awaitingWelcome, bookmark(), awaitingWelcome, true},
		"inventory at once":       {awaitingWelcome, needInventory(), awaitingWelcome, true},
		"drain before welcome":    {awaitingWelcome, drainTo(""), awaitingWelcome, false},
		"drain shows nothing":     {greeted, drainTo(""), greeted, false},
		"needs the inventory":     {greeted, needInventory(), open, false},
		"nothing to do":           {greeted, bookmark(), open, false},
		"goes on":                 {greeted, put(1, configMap("a", "1")), open, false},
		"deletes at once":         {greeted, del(1, configMap("a", "1")), open, false},
		"welcome twice":           {greeted, welcome(), greeted, true},
		"welcome late":            {open, welcome(), open, true},
		"needs it late":           {open, needInventory(), open, true},
		"info shows nothing":      {greeted, hubInfo("a"), greeted, false},
		"info later":              {open, hubInfo("a"), open, false},
		"info before welcome":     {awaitingWelcome, hubInfo("a"), awaitingWelcome, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			after, err := test.phase.after(test.message)
			g.Expect(after).To(Equal(test.after))
			if test.broken {
				g.Expect(err).To(MatchError(errProtocol))
			} else {
				g.Expect(err).NotTo(HaveOccurred())
			}
		})
	}
}
