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

package simulation

import (
	"math/rand/v2"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
)

// link is one connection: first in, first out both ways, until it is cut.
type link struct {
	toHub   []any
	toAgent []any
	broken  bool
}

// Messages of the agent.
type (
	hello struct {
		epoch  int
		count  int
		digest object.Digest
		// view is that of the last bookmark.
		view []byte
	}
	inventory struct {
		entries map[object.Key]delivery.Held
		last    bool
	}
	ack struct {
		cumulative uint64
		ranges     [][2]uint64
	}
	nack    = delivery.Nack
	applied struct {
		results []delivery.Result
		done    [][2]uint64
	}
)

// Messages of the hub, besides those of package delivery.
type (
	welcome struct {
		epoch         int
		needInventory bool
	}
	// bookmark is a Bookmark with how much the hub's manager knows, and with what the agent
	// must hold if it counts: of each key that is named what, or nothing.
	bookmark struct {
		view  []byte
		edits int
		nacks uint64
		holds map[object.Key]*object.Holding
	}
	// removal is a Delete with what the hub's manager knew when it sent it.
	removal struct {
		delivery.Delete
		seen string
		// edits is how many edits of the cluster it knew.
		edits int
	}
)

func (l *link) sendHub(message any) {
	if !l.broken {
		l.toHub = append(l.toHub, message)
	}
}

func (l *link) sendAgent(message any) {
	if !l.broken {
		l.toAgent = append(l.toAgent, message)
	}
}

// cut breaks the connection: either end still gets some of what was under way.
func (l *link) cut(random *rand.Rand) {
	if l.broken {
		return
	}
	l.broken = true
	l.toHub = l.toHub[:random.IntN(len(l.toHub)+1)]
	l.toAgent = l.toAgent[:random.IntN(len(l.toAgent)+1)]
}

func pop(queue *[]any) any {
	message := (*queue)[0]
	*queue = (*queue)[1:]
	return message
}
