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

package watch

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/edgesync/edgesync/internal/desired"
)

const (
	// refusalPause is the pause after the API server has refused: until a kind exists,
	// or may be read, a cheap question is asked again about that often. After patientAfter
	// refusals in a row nobody is about to make it good, and the pause is longer.
	refusalPause     = time.Second
	patientAfter     = 60
	longRefusalPause = 5 * time.Second
	// brokenAfter is how many times in a row something else must fail before anybody
	// is told: a restart of the API server is no problem of the kind.
	brokenAfter = 3
	jitter      = 0.5
)

// pauseAfterRefusal is the pause after so many refusals in a row.
func pauseAfterRefusal(refusals int) time.Duration {
	if refusals > patientAfter {
		return wait.Jitter(longRefusalPause, jitter)
	}
	return wait.Jitter(refusalPause, jitter)
}

// failurePause is the pause after so many other failures in a row: a list may be large.
func failurePause(failures int) time.Duration {
	return wait.Jitter(min(250*time.Millisecond<<min(failures, 6), 10*time.Second), jitter)
}

// reconnectPause is the pause of the reflector while the API server cannot be reached.
// It cannot be interrupted, so whoever stops a watch waits for it.
var reconnectPause = wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Steps: 10, Cap: 2 * time.Second, Jitter: jitter}

// kindWatch watches one kind.
type kindWatch struct {
	set    *Set
	gvk    schema.GroupVersionKind
	table  *desired.Table
	log    logr.Logger
	cancel context.CancelFunc
	done   chan struct{}
	// wake ends a pause.
	wake chan struct{}

	// Guarded by Set.mu:

	users    map[desired.SourceID]struct{}
	resource *resource
	listed   bool
	problem  *Problem
	failures int
	// filled and streaming say how far the current attempt has come.
	filled, streaming bool
}

// newWatch starts the watch of a kind.
func (s *Set) newWatch(gvk schema.GroupVersionKind) *kindWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &kindWatch{
		set: s, gvk: gvk, table: s.index.Watch(gvk), log: s.log.WithValues("kind", gvk.String()),
		cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1),
		users: map[desired.SourceID]struct{}{},
	}
	go func() {
		defer close(w.done)
		var running sync.WaitGroup
		running.Go(func() { w.probe(ctx) })
		w.run(ctx)
		running.Wait()
	}()
	return w
}

func (w *kindWatch) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run watches until ctx ends.
func (w *kindWatch) run(ctx context.Context) {
	// What the reflector says is of use only when it is being debugged.
	ctx = klog.NewContext(ctx, w.log.V(2))
	var reflector *cache.Reflector
	for {
		err := w.attempt(ctx, &reflector)
		if ctx.Err() != nil {
			return
		}
		refused, failures := w.ended(err)
		pause := failurePause(failures)
		if refused {
			reflector = nil
			pause = pauseAfterRefusal(failures)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-time.After(pause):
		}
	}
}

// attempt lists and watches the kind until that breaks. The reflector is kept as long
// as it can go on where it was.
func (w *kindWatch) attempt(ctx context.Context, reflector **cache.Reflector) error {
	if *reflector == nil {
		res, err := discover(ctx, w.set.discovery, w.gvk)
		if err != nil {
			return err
		}
		if !w.discovered(res) {
			return errWrongScope
		}
		*reflector = w.newReflector(res)
	}
	return (*reflector).ListAndWatchWithContext(ctx)
}

// newReflector makes the reflector that fills the table. It streams lists, asks for
// bookmarks, and resumes, as client-go has it by default.
func (w *kindWatch) newReflector(res *resource) *cache.Reflector {
	client := w.set.dynamic.Resource(res.GroupVersionResource)
	listerWatcher := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			w.begin()
			return client.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := client.Watch(ctx, options)
			if err == nil {
				w.progress(false, true)
			}
			return events, err
		},
	}, w.set.dynamic)
	logger := w.log.V(2)
	return cache.NewReflectorWithOptions(listerWatcher, nil, &store{
		table: w.table, resource: res.Resource, log: w.log,
		listed: func() { w.progress(true, false) },
	}, cache.ReflectorOptions{
		Name: w.gvk.String(), TypeDescription: w.gvk.String(), Logger: &logger, Backoff: &reconnectPause,
	})
}
