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

package delivery

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

// One change that would remove at least guardedDeletes objects, and more than half
// of what the node holds, is held back until somebody approves it.
const guardedDeletes = 10

// classify notes whether an entry is to be removed by a change in bulk. Only the
// change that made it unwanted counts, or, of what was frozen, the one that ended that.
func (n *Node) classify(e *entry, before desired.Want, bulk bool) {
	switch {
	case e.want.Object != nil:
		e.removal = unguarded
		delete(n.bulk, e.key)
	case e.want.Frozen || e.held == nil || e.held.State.removing() || e.held.Retain:
	case before.Frozen || before.Object != nil && bulk:
		if e.removal == unguarded {
			n.bulk[e.key] = e
		}
	}
}

// guard holds the removals among the touched entries back if, with all other
// removals in bulk that have not happened yet, they are too many for one change.
func (n *Node) guard(touched []*entry) {
	if len(n.bulk) < guardedDeletes || 2*len(n.bulk) <= n.heldCount() {
		return
	}
	for _, e := range touched {
		if n.bulk[e.key] != nil && e.removal == unguarded {
			e.removal = heldBack
		}
	}
}

func (n *Node) heldCount() int {
	count := 0
	for _, e := range n.entries {
		if e.held != nil && !e.held.State.removing() {
			count++
		}
	}
	return count
}

// heldBackEntries are those whose removal waits for approval.
func (n *Node) heldBackEntries() []*entry {
	var entries []*entry
	for _, e := range n.bulk {
		if e.removal == heldBack && e.held != nil && e.want.Object == nil && !e.want.Approved {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int { return a.key.Compare(b.key) })
	return entries
}

// Approve releases the deletions that are held back, if code names just these.
func (n *Node) Approve(now time.Time, code string) {
	if code == "" || code != n.ApprovalCode() {
		return
	}
	for _, e := range n.heldBackEntries() {
		e.removal = approved
		n.reconsider(now, e)
	}
}

// ApprovalCode names the deletions that are held back now: it changes when they do.
// It is empty when there are none.
func (n *Node) ApprovalCode() string {
	entries := n.heldBackEntries()
	if len(entries) == 0 {
		return ""
	}
	fingerprints := make([]object.Digest, 0, len(entries))
	for _, e := range entries {
		fingerprints = append(fingerprints, object.Holding{UID: e.held.UID}.Fingerprint(e.key))
	}
	digest := object.InventoryDigest(fingerprints)
	return hex.EncodeToString(digest[:4])
}
