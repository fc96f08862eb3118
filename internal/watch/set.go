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

// Package watch keeps the objects of every kind that a sync names in the index: it
// watches a kind from when the first source uses it until the last lets go.
package watch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/edgesync/edgesync/internal/desired"
)

// Options are what a Set needs; all but Log are required.
type Options struct {
	// Config and HTTPClient reach the API server.
	Config     *rest.Config
	HTTPClient *http.Client
	Index      *desired.Index
	// OnChange is told of a source whose State has changed. It must not block nor
	// call the Set.
	OnChange func(desired.SourceID)
	Log      logr.Logger
}

// Set is the watches of all kinds in use. Its methods may be called concurrently,
// before Start too.
type Set struct {
	index     *desired.Index
	dynamic   dynamic.Interface
	discovery discovery.ServerResourcesInterfaceWithContext
	onChange  func(desired.SourceID)
	log       logr.Logger

	// lifecycle serializes Use, Release and stop, which may wait for a watch to end.
	lifecycle sync.Mutex
	stopped   bool

	// mu guards what follows, and the state of each watch. It is held briefly.
	mu      sync.Mutex
	watches map[schema.GroupVersionKind]*kindWatch
	users   map[desired.SourceID]*kindWatch
}

// New makes a Set.
func New(o Options) (*Set, error) {
	if o.Config == nil || o.HTTPClient == nil || o.Index == nil || o.OnChange == nil {
		return nil, errors.New("the watches need a config, an HTTP client, an index and OnChange")
	}
	config := rest.CopyConfig(o.Config)
	config.QPS = -1 // the API server's own fairness is the limit: a few requests for each kind
	dynamicClient, err := dynamic.NewForConfigAndClient(config, o.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("make a dynamic client: %w", err)
	}
	discoveryClient, err := discovery.NewDiscoveryClientForConfigAndClient(config, o.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("make a discovery client: %w", err)
	}
	return &Set{
		index: o.Index, dynamic: dynamicClient, discovery: discoveryClient, onChange: o.OnChange, log: o.Log,
		watches: map[schema.GroupVersionKind]*kindWatch{},
		users:   map[desired.SourceID]*kindWatch{},
	}, nil
}

// Start waits for the end of ctx, and then for the end of all watches; nothing is
// watched any longer after that.
func (s *Set) Start(ctx context.Context) error {
	<-ctx.Done()
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	s.stopped = true
	watches := s.snapshot()
	for _, w := range watches {
		w.cancel() // all at once: each may take seconds while the API server is away
	}
	for _, w := range watches {
		s.stop(w)
	}
	return nil
}

// Use has the kind watched for a source. A source uses one kind at a time: using
// another releases the first, and using the same one again changes nothing.
func (s *Set) Use(id desired.SourceID, gvk schema.GroupVersionKind) {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.stopped {
		return
	}
	if used := s.usedBy(id); used != nil {
		if used.gvk == gvk {
			return
		}
		s.release(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.watches[gvk]
	if w == nil {
		w = s.newWatch(gvk)
		s.watches[gvk] = w
	}
	s.users[id] = w
	w.users[id] = struct{}{}
	w.nudge()
}

// Release ends the use of a kind by a source, if there is one.
func (s *Set) Release(id desired.SourceID) {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	s.release(id)
}

func (s *Set) release(id desired.SourceID) {
	s.mu.Lock()
	w := s.users[id]
	if w == nil {
		s.mu.Unlock()
		return
	}
	delete(s.users, id)
	delete(w.users, id)
	unused := len(w.users) == 0
	s.mu.Unlock()
	if unused {
		s.stop(w)
	}
}

// stop ends a watch and waits for its end, so that the table is closed before
// another watch may open it.
func (s *Set) stop(w *kindWatch) {
	w.cancel()
	<-w.done
	w.table.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watches, w.gvk)
	for id := range w.users {
		delete(s.users, id)
	}
}

// State reports how the watch of the kind fares that a source uses.
func (s *Set) State(id desired.SourceID) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.users[id]
	if w == nil {
		return State{}
	}
	return w.stateFor(id)
}

func (s *Set) usedBy(id desired.SourceID) *kindWatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[id]
}

func (s *Set) snapshot() []*kindWatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	watches := make([]*kindWatch, 0, len(s.watches))
	for _, w := range s.watches {
		watches = append(watches, w)
	}
	return watches
}
