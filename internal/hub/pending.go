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
	"time"
)

const (
	// waitingFactor times the connections that are served may wait; beyond, the source that has
	// most of them loses its oldest.
	waitingFactor = 8
	// overload is how long connections of a source wait when it is the newest that is served
	// next: the others are about to give up, or have done so.
	overload = 2 * time.Second
	// stallPatience is how long a served connection may have nothing to say while others of its
	// source wait.
	stallPatience = 2 * time.Second
	// sourcesLooked bounds how many sources are looked at for the next connection.
	sourcesLooked = 64
)

// pending are the connections that are no session yet, by where they come from: those that
// are served, and those that wait for that and take nothing but memory. When there is no
// room, the source that is served most loses its oldest to a source that is served less: who
// floods the hub pushes out its own, and nobody from elsewhere. Of one source the next
// waits, as when all the nodes behind one address come back at once; only those that stall
// make room for it. It decides only; its user closes, and keeps others away meanwhile.
type pending struct {
	most     int
	arrivals uint64
	served   queues
	waiting  queues
}

func newPending(most int) pending {
	return pending{most: most, served: newQueues(), waiting: newQueues()}
}

// arrive has c wait, and returns the connection that has to go for it, if too many wait.
func (p *pending) arrive(c *conn, now time.Time) (victim *conn) {
	p.arrivals++
	c.arrival, c.arrived = p.arrivals, now
	p.waiting.add(c)
	if p.waiting.count > waitingFactor*p.most {
		victim = p.waiting.longest()[0]
		p.waiting.remove(victim)
	}
	return victim
}

// next is a connection that has waited and is served now, and the one that has to go for it, if
// any; nil if none waits, or there is no room now.
func (p *pending) next(now time.Time) (c, victim *conn) {
	c = p.candidate(now)
	if c == nil {
		return nil, nil
	}
	if p.served.count >= p.most {
		if victim = p.displaced(c, now); victim == nil {
			return nil, nil
		}
		p.served.remove(victim)
	}
	p.waiting.remove(c)
	p.served.add(c)
	return c, victim
}

// candidate is of a source that is served least, of those that were looked at.
func (p *pending) candidate(now time.Time) (best *conn) {
	looked := 0
	for source, queue := range p.waiting.of {
		c := first(queue, now)
		if best == nil || less(len(p.served.of[source]), c, len(p.served.of[best.source]), best) {
			best = c
		}
		if looked++; looked == sourcesLooked {
			break
		}
	}
	return best
}

func first(queue []*conn, now time.Time) *conn {
	if now.Sub(queue[0].arrived) >= overload {
		return queue[len(queue)-1]
	}
	return queue[0]
}

// less orders connections by how many of their source are served, and then by arrival.
func less(n int, c *conn, otherN int, other *conn) bool {
	return n < otherN || n == otherN && c.arrival < other.arrival
}

// displaced is the served connection that has to go for c, if any: of a source that has more,
// or the oldest that stalls of those that have as many.
func (p *pending) displaced(c *conn, now time.Time) (victim *conn) {
	served := len(p.served.of[c.source])
	if longest := p.served.longest(); served+1 < len(longest) {
		return longest[0]
	}
	for _, queue := range p.served.of {
		if len(queue) < served {
			continue
		}
		at := slices.IndexFunc(queue, func(c *conn) bool { return c.stalled(now) })
		if at >= 0 && (victim == nil || queue[at].arrival < victim.arrival) {
			victim = queue[at]
		}
	}
	return victim
}

// remove takes c out; false if it was not in.
func (p *pending) remove(c *conn) bool { return p.served.remove(c) || p.waiting.remove(c) }

// queues hold the connections of each source, the oldest first, and are never empty.
type queues struct {
	count int
	of    map[netip.Prefix][]*conn
}

func newQueues() queues { return queues{of: map[netip.Prefix][]*conn{}} }

func (q *queues) add(c *conn) {
	q.count++
	q.of[c.source] = append(q.of[c.source], c)
}

func (q *queues) remove(c *conn) bool {
	queue := q.of[c.source]
	at := slices.Index(queue, c)
	if at < 0 {
		return false
	}
	q.count--
	if len(queue) == 1 {
		delete(q.of, c.source)
	} else {
		q.of[c.source] = slices.Delete(queue, at, at+1)
	}
	return true
}

// longest is the longest queue; of several, the one that begins with the oldest.
func (q *queues) longest() []*conn {
	var longest []*conn
	for _, queue := range q.of {
		if len(queue) > len(longest) || len(queue) == len(longest) && queue[0].arrival < longest[0].arrival {
			longest = queue
		}
	}
	return longest
}
