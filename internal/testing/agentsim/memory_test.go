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

package agentsim

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/payload"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

var key = object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "a"}

func holdingOne(g Gomega, content string) *memory {
	m := &memory{held: map[object.Key]holding{}}
	g.Expect(m.put(&pb.Put{
		Sequence: 1, Key: protocol.KeyToPB(key), Uid: "uid-1", Version: "10",
		Encoding: pb.Encoding_ENCODING_JSON, Payload: []byte(content),
	})).To(BeNil())
	return m
}

// A difference does not repeat what the object that it changes says: the uid, for one.
func TestDifference(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	before, after := strings.Repeat("before", 100), strings.Repeat("after", 100)
	m := holdingOne(g, before)
	base := object.DigestOf([]byte(before))
	put := &pb.Put{
		Sequence: 2, Key: protocol.KeyToPB(key), Version: "11", Base: base[:protocol.BaseBytes],
		Encoding: pb.Encoding_ENCODING_ZSTD_DELTA, Payload: payload.Delta([]byte(before), []byte(after)),
	}
	g.Expect(m.put(put)).To(BeNil())
	g.Expect(m.held[key].Holding).To(Equal(object.Holding{
		UID: "uid-1", Version: "11", Digest: object.DigestOf([]byte(after)),
	}))
	g.Expect(m.held[key].payload.Value()).To(Equal(after))
	g.Expect(m.put(put).GetCode()).To(Equal(pb.NackCode_NACK_CODE_NO_BASE), "other content is held now")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	m := holdingOne(g, "content")
	del := func(uid, asOf string) *pb.Nack {
		return m.delete(&pb.Delete{Sequence: 2, Key: protocol.KeyToPB(key), Uid: uid, AsOf: asOf})
	}
	g.Expect(del("uid-2", "10")).To(BeNil())
	g.Expect(m.held).To(HaveLen(1), "it is another object")
	nack := del("uid-1", "9")
	g.Expect(nack.GetCode()).To(Equal(pb.NackCode_NACK_CODE_STALE))
	g.Expect(nack.GetHeldVersion()).To(Equal("10"))
	g.Expect(m.held).To(HaveLen(1), "whoever has it deleted does not know it yet")
	g.Expect(del("uid-1", "10")).To(BeNil())
	g.Expect(m.held).To(BeEmpty())
}
