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
	"encoding/hex"
	"os"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

// TestTheExampleOfTheProtocolPage computes the digests that docs/protocol.md shows.
func TestTheExampleOfTheProtocolPage(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	page, err := os.ReadFile("../../../docs/protocol.md")
	g.Expect(err).NotTo(HaveOccurred())
	shows := func(what string, digest object.Digest) {
		t.Helper()
		g.Expect(string(page)).To(ContainSubstring("| " + what + " | `" + hex.EncodeToString(digest[:]) + "` |"))
	}

	key := object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "settings"}
	payload := []byte(`{"apiVersion":"v1"}`)
	holding := object.Holding{UID: "6f1c0b1e", Version: "7", Digest: object.DigestOf(payload)}
	shows("digest of the payload", holding.Digest)
	applied := holding.Fingerprint(key)
	shows("fingerprint, `APPLIED`", applied)
	shows("fingerprint, `PENDING`", object.DigestOf(append(applied[:], byte(store.Pending))))

	s := openStore(t)
	_, digest, err := s.InventoryDigest()
	g.Expect(err).NotTo(HaveOccurred())
	shows("`inventory_digest` of an empty inventory", digest)
	hold(g, s, &object.Object{Key: key, APIVersion: "v1", Resource: "configmaps", UID: holding.UID, Version: "7", Payload: payload})
	entry, _, err := s.Peek(key)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.SetStates([]store.StateChange{{Key: key, Revision: entry.Revision, State: store.Applied}})).To(Succeed())
	_, digest, err = s.InventoryDigest()
	g.Expect(err).NotTo(HaveOccurred())
	shows("`inventory_digest` of this object alone, `APPLIED`", digest)
}
