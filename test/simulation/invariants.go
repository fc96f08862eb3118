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
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
)

// checkAbsorbed: once a session has looked up all that it was told of, the delivery
// has been given just what the manager's view comes to, for every key.
func (sh *shadow) checkAbsorbed() {
	w := sh.s.manager.w
	for _, key := range keys {
		wish := w.wish(sh.view, sh.s.agent, key)
		want := sh.wants[key]
		h, holds := sh.held[key]
		switch {
		case (wish.object == nil) != (want.Object == nil):
			w.failf("%s: %s was not told that it is wanted: %t", sh.s.agent, key, wish.object != nil)
		case wish.object != nil && (!want.Holding().Same(wish.holding()) || want.Frozen != wish.frozen):
			w.failf("%s: of %s it was told %v, and should have been %v", sh.s.agent, key, want.Holding(), wish.holding())
		case wish.object == nil && holds && !removing(h.State) && want.Frozen != wish.frozen:
			w.failf("%s: of %s, unwanted, it was not told that it is frozen: %t", sh.s.agent, key, wish.frozen)
		}
	}
}

// checkPut: what is sent is wanted now, and nothing that is suspended is sent.
func (sh *shadow) checkPut(put delivery.Put) {
	w, key := sh.s.manager.w, put.Object.Key
	wish := w.wish(sh.view, sh.s.agent, key)
	incoming := object.Holding{UID: put.Object.UID, Digest: put.Object.Digest, Retain: put.Retain}
	switch {
	case wish.frozen:
		w.failf("%s is sent, though it is frozen", key)
	case wish.object == nil || !incoming.Same(wish.holding()):
		w.failf("%s is sent at %s, which is not wanted", key, put.Object.Version)
	case len(put.Object.Payload) > w.limits.MaxObjectBytes:
		w.failf("%s is sent, though it is too large", key)
	}
	if put.Force {
		sh.checkForce(put)
	}
}

// checkDelete: what is removed is unwanted now, not suspended, and approved if it
// has to be.
func (sh *shadow) checkDelete(del delivery.Delete) {
	w, key := sh.s.manager.w, del.Key
	wish := w.wish(sh.view, sh.s.agent, key)
	switch {
	case wish.frozen:
		w.failf("%s is removed, though it is frozen", key)
	case wish.object != nil:
		w.failf("%s is removed, though it is wanted", key)
	case sh.held[key].UID != del.UID:
		w.failf("%s is removed as %s, but %s is held", key, del.UID, sh.held[key].UID)
	case sh.guarded[key] && !wish.approved && !del.Release:
		w.failf("%s is removed with many others, without approval", key)
	}
}

// checkBookmark: nothing is left to be sent if the agent takes what is under way. It returns
// what the agent holds then.
func (sh *shadow) checkBookmark(b delivery.Bookmark) map[object.Key]*object.Holding {
	w := sh.s.manager.w
	if b.Nacks != sh.nacks {
		w.failf("a bookmark after %d refusals, of which it counts %d", sh.nacks, b.Nacks)
	}
	due := map[object.Key]*object.Holding{}
	for _, key := range keys {
		want, holds := sh.wants[key], sh.holdsAfterwards(key)
		progress, _ := sh.s.node.Progress(key)
		switch {
		case want.Frozen || progress == delivery.Failing || progress == delivery.HeldBack:
			continue
		case want.Object == nil && holds != nil:
			w.failf("a bookmark, with %s still to be removed", key)
		case want.Object != nil && (holds == nil || !holds.Same(want.Holding())):
			w.failf("a bookmark, with %s still to be sent", key)
		}
		due[key] = holds
	}
	return due
}

// holdsAfterwards is what the agent holds if it takes what is under way; nil if nothing.
func (sh *shadow) holdsAfterwards(key object.Key) *object.Holding {
	for _, f := range sh.flights {
		if f.key == key {
			return f.put
		}
	}
	if h, holds := sh.held[key]; holds && !removing(h.State) {
		return &h.Holding
	}
	return nil
}

// checkComplete: an agent for which a bookmark counts holds what it should.
func (a *agent) checkComplete(holds map[object.Key]*object.Holding) {
	for key, due := range holds {
		at := a.store[key]
		switch {
		case due == nil && at != nil && !at.tombstone():
			a.w.failf("%s takes a bookmark, holding %s, which it should not", a.name, key)
		case due != nil && (at == nil || at.tombstone() || !at.Same(*due)):
			a.w.failf("%s takes a bookmark, not holding %s as it should", a.name, key)
		}
	}
}

// checkFrame: frames are bounded, and so is memory.
func (sh *shadow) checkFrame(messages []delivery.Message, most, mostBytes int) {
	w := sh.s.manager.w
	changes, total := 0, 0
	for _, message := range messages {
		if put, ok := message.(delivery.Put); ok {
			total += len(put.Object.Payload)
		}
		if _, ok := message.(delivery.Bookmark); !ok {
			changes++
		}
	}
	if len(messages) > most || changes > 1 && total > mostBytes {
		w.failf("a frame of %d messages and %d bytes, asked for %d and %d", len(messages), total, most, mostBytes)
	}
	sh.checkMemory()
	for key, single := range sh.single {
		if progress, _ := sh.s.node.Progress(key); single && progress == delivery.HeldBack {
			w.failf("%s was deleted by itself, but is held back", key)
		}
	}
}

// checkMemory: the delivery remembers what is held, wanted or in flight, and nothing else.
func (sh *shadow) checkMemory() {
	needed := map[object.Key]struct{}{}
	for key := range sh.held {
		needed[key] = struct{}{}
	}
	for key, want := range sh.wants {
		if want.Object != nil {
			needed[key] = struct{}{}
		}
	}
	for _, f := range sh.flights {
		needed[f.key] = struct{}{}
	}
	if size := sh.s.node.Size(); size > len(needed) {
		sh.s.manager.w.failf("the delivery to %s remembers %d objects, where %d matter", sh.s.agent, size, len(needed))
	}
}

// checkPut: an agent goes forward, unless it is made to go back.
func (a *agent) checkPut(key object.Key, before object.Holding, held bool, put delivery.Put) {
	if held && object.Older(put.Object.Version, before.Version) && !put.Force {
		a.w.failf("%s goes back from %s to %s in %s", a.name, before.Version, put.Object.Version, key)
	}
}

// checkForce: the API server went back since it wrote what the agent holds. A manager
// that has not seen the restore cannot know that, nor can one to which what the agent
// holds is from another cluster.
func (sh *shadow) checkForce(put delivery.Put) {
	w := sh.s.manager.w
	if sh.s.foreign {
		return
	}
	for i, k := range kinds {
		if feed := sh.view.feeds[i]; k.GroupKind() == put.Object.GroupKind() && feed.listed && feed.position < w.api.restored {
			return
		}
	}
	for _, a := range w.agents {
		if at := a.store[put.Object.Key]; a.link == sh.s.link && at != nil && w.api.wrote(at.object) {
			w.failf("%s is forced back from %s to %s", put.Object.Key, at.Version, put.Object.Version)
		}
	}
}

// checkRemoval: nothing newer than the hub knew of is removed, nor what is to be
// retained.
func (a *agent) checkRemoval(del removal, s *stored) {
	switch {
	case s.UID != del.UID:
		a.w.failf("%s removes %s as %s, but holds %s", a.name, del.Key, del.UID, s.UID)
	case s.Retain != del.Release:
		a.w.failf("%s removes %s: released %t, to be retained %t", a.name, del.Key, del.Release, s.Retain)
	case del.edits < a.edits:
		a.w.failf("%s removes %s for a hub that knew of %d edits, having heard from one that knew of %d",
			a.name, del.Key, del.edits, a.edits)
	case object.Older(del.seen, s.Version) && a.w.api.wrote(s.object):
		a.w.failf("%s removes %s at %s for a hub that knew of %s", a.name, del.Key, s.Version, del.seen)
	}
}

// checkProgress: what the hub calls in sync is so. It is checked for the connection
// that the agent has now.
func (s *session) checkProgress(a *agent) {
	if s.node == nil || s.superseded || a.link != s.link {
		return
	}
	for _, key := range keys {
		if progress, _ := s.node.Progress(key); progress != delivery.InSync {
			continue
		}
		want := s.shadow.wants[key]
		at, holds := a.store[key]
		switch {
		case want.Object == nil && want.Frozen:
		case want.Object == nil && holds:
			a.w.failf("%s is said to be in sync, but %s holds it at %s", key, a.name, at.Version)
		case want.Object != nil && (!holds || !at.Same(want.Holding()) ||
			a.edge[key].uid != want.Object.UID || a.edge[key].digest != want.Object.Digest):
			a.w.failf("%s is said to be in sync, but %s has not applied it", key, a.name)
		}
	}
}
