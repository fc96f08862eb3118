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
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	crcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// feed is one of the informers that fill the index. Their handlers fill it, and not the
// reconcilers, so that the index has all that the cache has, in order, and can say how much that is.
type feed struct {
	id   desired.Feed
	list client.ObjectList
	// saw and lost put an object into the index and take it out; news tells whether it has to
	// be reconciled, given what it was before, if anything.
	saw, lost func(client.Object)
	news      func(before, now client.Object)

	informer cache.SharedIndexInformer
	handler  cache.ResourceEventHandlerRegistration
	// atStart is the resource version at which there was nothing more to know before the
	// informer was started.
	atStart string

	mu sync.Mutex
	// taken are the resource versions of the objects as the handlers have them in the index, by
	// their keys in the informer.
	taken map[string]string
}

// connect has the informer of the cache tell the feed. It is called before the cache is started.
func (f *feed) connect(ctx context.Context, mgr ctrl.Manager, of client.Object) (err error) {
	if f.atStart, err = f.latest(ctx, mgr.GetAPIReader()); err != nil {
		return err
	}
	informer, err := mgr.GetCache().GetInformer(ctx, of, crcache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("follow %T: %w", of, err)
	}
	shared, ok := informer.(cache.SharedIndexInformer)
	if !ok {
		return fmt.Errorf("follow %T: %T does not tell how far it is", of, informer)
	}
	f.informer = shared
	f.handler, err = shared.AddEventHandler(f)
	return err
}

// OnAdd implements cache.ResourceEventHandler.
func (f *feed) OnAdd(obj any, _ bool) {
	if now, ok := obj.(client.Object); ok {
		f.saw(now)
		f.took(now)
		f.news(nil, now)
	}
}

// OnUpdate implements cache.ResourceEventHandler.
func (f *feed) OnUpdate(old, obj any) {
	before, isObject := old.(client.Object)
	if now, ok := obj.(client.Object); ok && isObject && before.GetResourceVersion() != now.GetResourceVersion() {
		f.saw(now)
		f.took(now)
		f.news(before, now)
	}
}

// OnDelete implements cache.ResourceEventHandler.
func (f *feed) OnDelete(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if last, ok := obj.(client.Object); ok {
		f.lost(last)
		f.mu.Lock()
		delete(f.taken, keyIn(last))
		f.mu.Unlock()
	}
}

// took notes that the index has an object.
func (f *feed) took(obj client.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.taken == nil {
		f.taken = map[string]string{}
	}
	f.taken[keyIn(obj)] = obj.GetResourceVersion()
}

func keyIn(obj client.Object) string { return cache.MetaObjectToName(obj).String() }

// reached is the resource version up to which the index has everything; false if the handlers are
// behind the informer. It takes time proportional to the objects.
func (f *feed) reached(store cache.Store) (version string, ok bool) {
	version = store.LastStoreSyncResourceVersion()
	objects := store.List() // of that version or a later one
	f.mu.Lock()
	defer f.mu.Unlock()
	return version, len(objects) == len(f.taken) && !slices.ContainsFunc(objects, func(obj any) bool {
		o, ok := obj.(client.Object)
		return !ok || f.taken[keyIn(o)] != o.GetResourceVersion()
	})
}

// latest reads up to which resource version there is something to know.
func (f *feed) latest(ctx context.Context, live client.Reader) (string, error) {
	if err := live.List(ctx, f.list, client.Limit(1)); err != nil {
		return "", fmt.Errorf("read how much there is to know: %w", err)
	}
	return f.list.GetResourceVersion(), nil
}

// follow tells the index, until ctx is done, how far the informer has come without there having
// been an object: by lists and bookmarks.
func (f *feed) follow(ctx context.Context, index *desired.Index) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if version, ok := f.reached(f.informer.GetStore()); ok {
			index.Reached(f.id, version)
		}
	}
}

// prime waits until all that there was at the start is in the index; it is false if ctx ends before.
func prime(ctx context.Context, index *desired.Index, feeds []*feed) bool {
	for _, f := range feeds {
		if !cache.WaitForCacheSync(ctx.Done(), f.handler.HasSynced) {
			return false
		}
		// The first list is at least as new as what was read before it.
		if !object.Older(f.informer.LastSyncResourceVersion(), f.atStart) {
			index.Reached(f.id, f.atStart)
		}
	}
	return true
}
