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
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/payload"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestARecordIsWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	const roomy = 1 << 20
	for name, test := range map[string]struct {
		change func(*pb.Put)
		most   int
		want   string
	}{
		"as announced":         {func(*pb.Put) {}, roomy, ""},
		"too large":            {func(*pb.Put) {}, 10, "--max-object-bytes"},
		"compressed":           {compress, roomy, ""},
		"compressed too large": {compress, 100, "--max-object-bytes"},
		"compressed badly":     {func(p *pb.Put) { p.Encoding = pb.Encoding_ENCODING_ZSTD }, roomy, "zstd"},
		"not JSON":             {func(p *pb.Put) { p.Payload = []byte("{") }, roomy, "not the JSON of an object"},
		"empty":                {func(p *pb.Put) { p.Payload = nil }, roomy, "not the JSON of an object"},
		"a list":               {func(p *pb.Put) { p.Payload = []byte("[]") }, roomy, "not the JSON of an object"},
		"something after it":   {func(p *pb.Put) { p.Payload = append(p.Payload, '{') }, roomy, "not the JSON of an object"},
		"another name":         {func(p *pb.Put) { p.Key.Name = "b" }, roomy, "announced as ConfigMap/shop/b"},
		"another namespace":    {func(p *pb.Put) { p.Key.Namespace = "" }, roomy, "announced as ConfigMap/a"},
		"another kind":         {func(p *pb.Put) { p.Key.Kind = "Secret" }, roomy, "announced as Secret"},
		"another group":        {func(p *pb.Put) { p.Key.Group = "apps" }, roomy, "announced as apps/"},
		"another version":      {func(p *pb.Put) { p.ApiVersion = "v2" }, roomy, `announced with "v2"`},
		"a bad apiVersion":     {func(p *pb.Put) { p.Payload = []byte(`{"apiVersion":"a/b/c"}`) }, roomy, "a/b/c"},
		"no uid":               {func(p *pb.Put) { p.Uid = "" }, roomy, "without uid"},
		"the wrong field case": {func(p *pb.Put) { p.Payload = []byte(`{"apiVersion":"v1","Kind":"ConfigMap"}`) }, roomy, "announced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			message := put(1, configMap("a", "1")).GetPut()
			test.change(message)
			_, err := batchOf(nil, test.most).record(message)
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			}
		})
	}
}

// batchOf is a batch of a node that holds an entry, if that is not nil.
func batchOf(held *store.Entry, maxObjectBytes int) *batch {
	return &batch{
		maxObjectBytes: maxObjectBytes,
		keys:           map[object.Key]bool{},
		held: func(key object.Key) (store.Entry, bool, error) {
			if held == nil || held.Key != key {
				return store.Entry{}, false, nil
			}
			return *held, true, nil
		},
	}
}

func compress(p *pb.Put) {
	p.Encoding, p.Payload = pb.Encoding_ENCODING_ZSTD, payload.Compress(p.GetPayload())
}

// difference is what a hub sends of o to a node that holds base.
func difference(sequence uint64, base, o *object.Object) *pb.HubMessage {
	message := put(sequence, o)
	p := message.GetPut()
	p.Uid, p.ApiVersion, p.Resource = "", "", ""
	p.Encoding, p.Payload = pb.Encoding_ENCODING_ZSTD_DELTA, payload.Delta(base.Payload, o.Payload)
	p.Base = base.Digest[:protocol.BaseBytes]
	return message
}

func TestADifferenceIsToWhatIsHeld(t *testing.T) {
	t.Parallel()
	one, two := configMap("a", "1"), configMap("a", "2")
	entry := func(change func(*store.Entry)) *store.Entry {
		e := &store.Entry{Record: store.Record{Object: *one}, State: store.Failed}
		change(e)
		return e
	}
	same := func(*store.Entry) {}
	for name, test := range map[string]struct {
		held   *store.Entry
		change func(*pb.Put)
		most   int
		want   string
	}{
		"as held":             {held: entry(same)},
		"nothing is held":     {want: "not held"},
		"only a tombstone":    {held: entry(func(e *store.Entry) { e.State, e.Payload = store.Removing, nil }), want: "not held"},
		"another version":     {held: entry(func(e *store.Entry) { e.Object = *two }), want: "other content"},
		"no base":             {held: entry(same), change: func(p *pb.Put) { p.Base = nil }, want: "other content"},
		"no frame":            {held: entry(same), change: func(p *pb.Put) { p.Payload = []byte("?") }, want: "zstd"},
		"cut short":           {held: entry(same), change: func(p *pb.Put) { p.Payload = p.Payload[:len(p.Payload)-1] }, want: "zstd"},
		"a flipped bit":       {held: entry(same), change: func(p *pb.Put) { p.Payload[len(p.Payload)-1] ^= 1 }, want: "CRC"},
		"too large":           {held: entry(same), most: 100, want: "--max-object-bytes"},
		"of another object":   {held: entry(same), change: func(p *pb.Put) { p.Payload = payload.Delta(one.Payload, configMap("b", "1").Payload) }, want: "announced as"},
		"without a version":   {held: entry(same), change: func(p *pb.Put) { p.Version = "" }, want: "without uid, version"},
		"to other base bytes": {held: entry(func(e *store.Entry) { e.Payload = []byte("{}") }), want: "zstd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			message := difference(1, one, two).GetPut()
			if test.change != nil {
				test.change(message)
			}
			most := 1 << 20
			if test.most > 0 {
				most = test.most
			}
			b := batchOf(test.held, most)
			g.Expect(b.put(message)).To(Succeed())
			if test.want == "" {
				g.Expect(b.refused).To(BeEmpty())
				record := b.ops[0].Put.Record
				g.Expect(record.Holding()).To(Equal(object.Holding{UID: one.UID, Version: "2"}), "the store computes the digest")
				g.Expect([]string{record.APIVersion, record.Resource, string(record.Payload)}).To(
					Equal([]string{"v1", "configmaps", string(two.Payload)}))
				return
			}
			g.Expect(b.ops).To(BeEmpty())
			g.Expect(b.refused).To(HaveExactElements(And(
				HaveField("Sequence", uint64(1)),
				HaveField("Code", pb.NackCode_NACK_CODE_NO_BASE),
				HaveField("Message", ContainSubstring(test.want)))))
		})
	}
}

// The hub has only one message about an object under way. A difference to what has just
// come might be right, and is asked for in full all the same.
func TestADifferenceToWhatIsInTheBatch(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	one, two := configMap("a", "1"), configMap("a", "2")
	b := batchOf(&store.Entry{Record: store.Record{Object: *one}}, 1<<20)
	g.Expect(b.put(put(1, one).GetPut())).To(Succeed())
	g.Expect(b.put(difference(2, one, two).GetPut())).To(Succeed())
	g.Expect(b.refused).To(HaveExactElements(HaveField("Code", pb.NackCode_NACK_CODE_NO_BASE)))
}

func TestADamagedStoreEndsTheSession(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	one, two := configMap("a", "1"), configMap("a", "2")
	b := batchOf(nil, 1<<20)
	b.held = func(object.Key) (store.Entry, bool, error) { return store.Entry{}, false, store.ErrCorrupt }
	g.Expect(b.put(difference(1, one, two).GetPut())).To(MatchError(store.ErrCorrupt))
}

// Small frames may hold much: what is decoded is committed before it fills the memory.
func TestDecodedPayloadsAreBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const size, count = 1 << 20, 40
	counting := &countingStore{Store: openStore(t)}
	l := New(Config{Hubs: hubA, Store: counting, Apply: func(...object.Key) {}, MaxObjectBytes: 2 * size})
	s := newSession(l, "https://a:1", nil, newOutbox())
	s.phase = open
	var messages []*pb.HubMessage
	for i := range uint64(count) {
		o := configMap(fmt.Sprintf("object-%d", i), long(size))
		message := put(i+1, o)
		compress(message.GetPut())
		messages = append(messages, message)
	}
	g.Expect(s.handle(messages)).To(Succeed())
	g.Expect(counting.commits).To(Equal(count * size / maxBuffered))
}

// FuzzRecord checks that whatever passes is about the object that it was
// announced as, and that nothing panics.
func FuzzRecord(f *testing.F) {
	f.Add(configMap("a", "1").Payload)
	f.Add([]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"shop"}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"ConfigMap","kind":"Secret","metadata":{"name":"a","namespace":"shop"}}`))
	f.Add([]byte(`{"metadata":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		message := put(1, configMap("a", "1")).GetPut()
		message.Payload = data
		if _, err := batchOf(nil, protocol.MaxObjectBytes).record(message); err != nil {
			return
		}
		found, err := identify(data)
		if err != nil || found.key != configMap("a", "1").Key || found.apiVersion != "v1" {
			t.Fatalf("accepted %q", data)
		}
	})
}
