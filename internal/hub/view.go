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
	"net/http"
	"sync"
	"time"

	"github.com/edgesync/edgesync/internal/desired"
)

const (
	// viewPatience is how long a session waits for the index to catch up with what its node
	// has seen, and viewInterval how often it looks.
	viewPatience = 2 * time.Second
	viewInterval = 100 * time.Millisecond
	// currentInterval is how often the API server is asked at most where it is, whatever
	// nodes show, and currentTimeout bounds one answer.
	currentInterval = time.Second
	currentTimeout  = 5 * time.Second
)

// awaitView returns once the index knows as much as the one that the node was last served
// from: what it does not know of, such as an EdgeNode's new label, would be taken from the
// node again. It is an error if that takes too long: another replica may know.
func (s *session) awaitView(view []byte) error {
	index := s.hub.options.Index
	if !index.Behind(view) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), viewPatience)
	defer cancel()
	ticker := time.NewTicker(viewInterval)
	defer ticker.Stop()
	for index.Behind(view) {
		select {
		case <-ticker.C:
		case <-s.done:
			return errEnded
		case <-ctx.Done():
			return s.doubtView(view)
		}
	}
	return nil
}

// doubtView lets a view pass that no replica can have any longer.
func (s *session) doubtView(view []byte) error {
	current, err := s.hub.current.read(s.done)
	if err == nil && desired.Beyond(current, view) {
		s.log().Info("The node has seen what the API server does not know any longer: it may have been restored from a backup", "resourceVersion", current)
		return nil
	}
	if err != nil {
		s.log().V(1).Info("Cannot ask the API server where it is", "reason", err.Error())
	}
	return &Refusal{
		Status:     http.StatusServiceUnavailable,
		Message:    "this replica of the hub does not know yet what the node has seen of another: it is to try again",
		RetryAfter: time.Second,
		cause:      causeBehind,
	}
}

// currentVersion asks the API server at which resource version it is: once for all who
// want to know at the time, and at most once in an interval.
type currentVersion struct {
	ask func(context.Context) (string, error)

	mu   sync.Mutex
	last time.Time
	// next is the question that has not been asked yet; nil if there is none.
	next *question
}

type question struct {
	answered chan struct{}
	version  string
	err      error
}

// read returns an answer to a question that is asked after the call. It gives up when
// done is closed.
func (c *currentVersion) read(done <-chan struct{}) (string, error) {
	q := c.join()
	select {
	case <-q.answered:
		return q.version, q.err
	case <-done:
		return "", errEnded
	}
}

func (c *currentVersion) join() *question {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		q := &question{answered: make(chan struct{})}
		c.next = q
		time.AfterFunc(time.Until(c.last.Add(currentInterval)), func() { c.answer(q) })
		c.last = latest(time.Now(), c.last.Add(currentInterval))
	}
	return c.next
}

func (c *currentVersion) answer(q *question) {
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), currentTimeout)
	defer cancel()
	q.version, q.err = c.ask(ctx)
	close(q.answered)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
