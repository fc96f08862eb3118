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
	"net/netip"
	"slices"
)

// pending are the connections that are no session yet, by where they come from. When
// there are too many, the source that has the most of them loses its oldest: who floods
// the hub pushes out its own, and nobody from elsewhere. It decides only; its user
// closes, and keeps others away meanwhile.
type pending struct {
	most     int
	count    int
	arrivals uint64
	// queues hold the oldest first, and are never empty.
	queues map[netip.Prefix][]*conn
}

func newPending(most int) pending { return pending{most: most, queues: map[netip.Prefix][]*conn{}} }

// add takes c in, and returns the connection that has to go for it, if there are now too many.
func (p *pending) add(c *conn) (victim *conn) {
	p.arrivals++
	p.count++
	c.arrival = p.arrivals
	p.queues[c.source] = append(p.queues[c.source], c)
	if p.count <= p.most {
		return nil
	}
	victim = p.longest()[0]
	p.remove(victim)
	return victim
}

// longest is the longest queue; of several, the one that begins with the oldest.
func (p *pending) longest() []*conn {
	var longest []*conn
	for _, queue := range p.queues {
		if len(queue) > len(longest) || len(queue) == len(longest) && queue[0].arrival < longest[0].arrival {
			longest = queue
		}
	}
	return longest
}

// remove takes c out; false if it was not in.
func (p *pending) remove(c *conn) bool {
	queue := p.queues[c.source]
	at := slices.Index(queue, c)
	if at < 0 {
		return false
	}
	p.count--
	if len(queue) == 1 {
		delete(p.queues, c.source)
	} else {
		p.queues[c.source] = slices.Delete(queue, at, at+1)
	}
	return true
}
