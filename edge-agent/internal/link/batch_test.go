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
	"errors"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestBatchTakesOnlyRisingSequences(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	b := batchOf(nil, 1<<20)
	b.last = 4
	g.Expect(b.put(put(4, configMap("a", "1")).GetPut())).To(MatchError(errProtocol))
	g.Expect(b.put(put(5, configMap("a", "1")).GetPut())).To(Succeed())
	g.Expect(b.delete(del(5, configMap("a", "1")).GetDelete())).To(MatchError(errProtocol))
	g.Expect(b.delete(del(6, configMap("a", "1")).GetDelete())).To(Succeed())
	g.Expect(b.last).To(BeEquivalentTo(6))
	g.Expect(b.sequences).To(Equal([]uint64{5, 6}))
}

// mixed is a batch of a put, one that can never be stored, a delete and another put.
func mixed(g Gomega) *batch {
	b := batchOf(nil, 1<<20)
	broken := put(2, configMap("broken", "1")).GetPut()
	broken.Payload = []byte("?")
	g.Expect(b.put(put(1, configMap("a", "1")).GetPut())).To(Succeed())
	g.Expect(b.put(broken)).To(Succeed())
	g.Expect(b.delete(del(3, configMap("c", "1")).GetDelete())).To(Succeed())
	g.Expect(b.put(put(4, configMap("d", "1")).GetPut())).To(Succeed())
	return b
}

func TestBatchNacks(t *testing.T) {
	t.Parallel()
	held := object.Holding{UID: "uid-d", Version: "9", Digest: object.Digest{7}}
	for name, test := range map[string]struct {
		outcomes []store.Outcome
		err      error
		want     map[uint64]pb.NackCode
	}{
		"all stored": {
			outcomes: []store.Outcome{{}, {}, {}},
			want:     map[uint64]pb.NackCode{2: pb.NackCode_NACK_CODE_REJECT},
		},
		"one stale": {
			outcomes: []store.Outcome{{}, {}, {Result: store.Stale, Held: held}},
			want:     map[uint64]pb.NackCode{2: pb.NackCode_NACK_CODE_REJECT, 4: pb.NackCode_NACK_CODE_STALE},
		},
		"one invalid": {
			outcomes: []store.Outcome{{Result: store.Invalid, Err: errors.New("no")}, {}, {}},
			want:     map[uint64]pb.NackCode{1: pb.NackCode_NACK_CODE_REJECT, 2: pb.NackCode_NACK_CODE_REJECT},
		},
		"a full disk": {
			err: store.ErrNoSpace,
			want: map[uint64]pb.NackCode{
				1: pb.NackCode_NACK_CODE_RETRY, 2: pb.NackCode_NACK_CODE_REJECT,
				3: pb.NackCode_NACK_CODE_RETRY, 4: pb.NackCode_NACK_CODE_RETRY,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			codes := map[uint64]pb.NackCode{}
			for _, nack := range mixed(g).nacks(test.outcomes, test.err) {
				codes[nack.GetSequence()] = nack.GetCode()
				g.Expect(nack.GetMessage()).NotTo(BeEmpty())
				if nack.GetCode() == pb.NackCode_NACK_CODE_STALE {
					g.Expect(nack.GetHeldUid()).To(Equal(held.UID))
					g.Expect(nack.GetHeldVersion()).To(Equal(held.Version))
					g.Expect(nack.GetHeldDigest()).To(Equal(held.Digest[:]))
				}
			}
			g.Expect(codes).To(Equal(test.want))
		})
	}
}

func TestBatchFollow(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	work, unchanged := mixed(g).follow([]store.Outcome{{Work: true}, {}, {Result: store.Stale}})
	g.Expect(work).To(Equal([]object.Key{configMap("a", "1").Key}))
	g.Expect(unchanged).To(Equal([]reference{
		{key: configMap("c", "1").Key, uid: "uid-c", deleted: true},
		{key: configMap("d", "1").Key, uid: "uid-d"},
	}))

	work, unchanged = mixed(g).follow(nil)
	g.Expect(work).To(BeEmpty(), "nothing was stored")
	g.Expect(unchanged).To(BeEmpty())
}
