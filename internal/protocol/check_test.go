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

package protocol

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func digest() []byte { return make([]byte, object.DigestSize) }

func long(n int) string { return strings.Repeat("x", n) }

// goodKey is a key with every field at its limit.
func goodKey() *pb.ObjectKey {
	return &pb.ObjectKey{
		Group: long(maxGroupBytes), Kind: long(maxKindBytes), Namespace: long(maxNameBytes), Name: long(maxNameBytes),
	}
}

func goodHello() *pb.Hello {
	return &pb.Hello{
		ProtocolVersions: make([]uint32, maxVersions),
		AgentVersion:     long(maxOpaqueBytes),
		BootId:           long(maxOpaqueBytes),
		StoreEpoch:       long(maxOpaqueBytes),
		ClusterEpoch:     long(maxOpaqueBytes),
		InventoryCount:   MaxInventory,
		InventoryDigest:  digest(),
		MaxObjectBytes:   1 << 31,
		HubInfoDigest:    digest(),
		Labels:           goodLabels(),
		View:             make([]byte, MaxViewBytes),
		Encodings:        make([]pb.Encoding, maxEncodings),
	}
}

// goodLabels are as many as there may be, each as long as it may be.
func goodLabels() map[string]string {
	labels := map[string]string{}
	for i := range MaxLabels {
		labels[fmt.Sprintf("%0*d", maxLabelBytes, i)] = long(maxLabelBytes)
	}
	return labels
}

func goodHubInfo() *pb.HubInfo {
	info := &pb.HubInfo{}
	for range MaxHubAddresses {
		info.Addresses = append(info.Addresses, long(maxAddressBytes))
	}
	for range MaxAuthorities {
		info.Authorities = append(info.Authorities, make([]byte, maxAuthorityBytes))
	}
	return info
}

func goodEntry() *pb.InventoryEntry {
	return &pb.InventoryEntry{
		Key: goodKey(), Uid: long(maxOpaqueBytes), Version: long(maxOpaqueBytes), Digest: digest(),
		Retain: true, State: pb.ApplyState_APPLY_STATE_REMOVE_FAILED, Message: long(MaxMessageBytes),
	}
}

func goodNack() *pb.Nack {
	return &pb.Nack{
		Sequence: 1 << 63, Code: pb.NackCode_NACK_CODE_STALE, Message: long(MaxMessageBytes), RetryAfterMs: 1 << 31,
		HeldUid: long(maxOpaqueBytes), HeldVersion: long(maxOpaqueBytes), HeldDigest: digest(),
	}
}

func goodResult() *pb.ApplyResult {
	return &pb.ApplyResult{
		Key: goodKey(), Uid: long(maxOpaqueBytes), Digest: digest(),
		State: pb.ApplyState_APPLY_STATE_REMOVED, Message: long(MaxMessageBytes),
	}
}

func goodPut() *pb.Put {
	return &pb.Put{
		Sequence: 1, Key: goodKey(), Uid: long(maxOpaqueBytes), Version: long(maxOpaqueBytes),
		ApiVersion: long(maxAPIVersionBytes), Resource: long(maxNameBytes),
		Encoding: pb.Encoding_ENCODING_JSON, Payload: []byte("{}"), Force: true, Retain: true,
	}
}

func goodDelta() *pb.Put {
	return &pb.Put{
		Sequence: 1, Key: goodKey(), Version: long(maxOpaqueBytes),
		Encoding: pb.Encoding_ENCODING_ZSTD_DELTA, Payload: []byte("{}"), Base: make([]byte, BaseBytes), Force: true, Retain: true,
	}
}

func goodDelete() *pb.Delete {
	return &pb.Delete{Sequence: 2, Key: goodKey(), Uid: long(maxOpaqueBytes), Release: true, AsOf: long(maxOpaqueBytes)}
}

func agentHello(h *pb.Hello) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: h}}
}

func agentInventory(entries ...*pb.InventoryEntry) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Inventory{Inventory: &pb.Inventory{Entries: entries, Last: true}}}
}

func agentAck(ranges ...*pb.SequenceRange) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: &pb.Ack{Cumulative: 7, Ranges: ranges}}}
}

func agentNack(n *pb.Nack) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Nack{Nack: n}}
}

func agentApplied(results ...*pb.ApplyResult) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Applied{Applied: &pb.Applied{Results: results}}}
}

func agentDone(ranges ...*pb.SequenceRange) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Applied{Applied: &pb.Applied{Done: ranges}}}
}

func goodAgentMessages() []*pb.AgentMessage {
	return []*pb.AgentMessage{
		agentHello(goodHello()), agentInventory(goodEntry(), goodEntry()), agentInventory(),
		agentAck(&pb.SequenceRange{First: 3, Last: 3}, &pb.SequenceRange{First: 5, Last: 1 << 63}),
		agentNack(goodNack()), agentNack(&pb.Nack{Code: pb.NackCode_NACK_CODE_RETRY}), agentApplied(goodResult()),
		agentDone(&pb.SequenceRange{First: 3, Last: 1 << 63}),
	}
}

func goodHubMessages() []*pb.HubMessage {
	return []*pb.HubMessage{
		{Body: &pb.HubMessage_Welcome{Welcome: &pb.Welcome{Session: long(maxOpaqueBytes), ClusterEpoch: long(maxOpaqueBytes)}}},
		{Body: &pb.HubMessage_NeedInventory{NeedInventory: &pb.NeedInventory{}}},
		{Body: &pb.HubMessage_Put{Put: goodPut()}},
		{Body: &pb.HubMessage_Put{Put: goodDelta()}},
		{Body: &pb.HubMessage_Delete{Delete: goodDelete()}},
		{Body: &pb.HubMessage_Bookmark{Bookmark: &pb.Bookmark{View: make([]byte, MaxViewBytes)}}},
		{Body: &pb.HubMessage_Drain{Drain: &pb.Drain{DeadlineMs: 1, Redirect: long(maxRedirectBytes)}}},
		{Body: &pb.HubMessage_HubInfo{HubInfo: &pb.HubInfo{
			Addresses: []string{"https://hub.example:10443"}, Authorities: [][]byte{[]byte("one"), []byte("another")},
		}}},
	}
}

// change is one thing that makes a good message bad.
type change[M any] struct {
	name   string
	change func(M)
	says   string
}

func refusedByAll[M any](t *testing.T, good func() M, decode func(M) error, changes []change[M]) {
	t.Helper()
	if err := decode(good()); err != nil {
		t.Fatalf("the good message is refused: %v", err)
	}
	for _, c := range changes {
		g := NewWithT(t)
		message := good()
		c.change(message)
		err := decode(message)
		g.Expect(err).To(MatchError(ErrMalformed), c.name)
		g.Expect(err).To(MatchError(ContainSubstring(c.says)), c.name)
	}
}

func decodeAgent(message *pb.AgentMessage) error {
	frame, err := EncodeAgent(message)
	if err != nil {
		return err
	}
	_, err = DecodeAgent(frame)
	return err
}

func decodeHub(message *pb.HubMessage) error {
	frame, err := EncodeHub(message)
	if err != nil {
		return err
	}
	_, err = DecodeHub(frame)
	return err
}

func TestHelloLimits(t *testing.T) {
	t.Parallel()
	refusedByAll(t, goodHello, func(h *pb.Hello) error { return decodeAgent(agentHello(h)) }, []change[*pb.Hello]{
		{"no version", func(h *pb.Hello) { h.ProtocolVersions = nil }, "0 protocol versions"},
		{"many versions", func(h *pb.Hello) { h.ProtocolVersions = make([]uint32, maxVersions+1) }, "17 protocol versions"},
		{"agent version", func(h *pb.Hello) { h.AgentVersion += "x" }, "agent version of 129 bytes"},
		{"boot id", func(h *pb.Hello) { h.BootId += "x" }, "boot id"},
		{"store epoch", func(h *pb.Hello) { h.StoreEpoch += "x" }, "store epoch"},
		{"cluster epoch", func(h *pb.Hello) { h.ClusterEpoch += "x" }, "cluster epoch"},
		{"count", func(h *pb.Hello) { h.InventoryCount++ }, "inventory of 100001 objects"},
		{"no digest", func(h *pb.Hello) { h.InventoryDigest = nil }, "digest of 0 bytes"},
		{"long digest", func(h *pb.Hello) { h.InventoryDigest = append(h.InventoryDigest, 0) }, "digest of 17 bytes"},
		{"HubInfo digest", func(h *pb.Hello) { h.HubInfoDigest = h.HubInfoDigest[1:] }, "digest of 15 bytes"},
		{"many labels", func(h *pb.Hello) { h.Labels["one"] = "more" }, "33 labels"},
		{"label name", func(h *pb.Hello) { h.Labels = map[string]string{long(64): ""} }, "label name of 64 bytes"},
		{"view", func(h *pb.Hello) { h.View = append(h.View, 0) }, "view of 257 bytes"},
		{"encodings", func(h *pb.Hello) { h.Encodings = append(h.Encodings, 0) }, "17 encodings"},
		{"label value", func(h *pb.Hello) { h.Labels = map[string]string{"a": long(64)} }, "label value of 64 bytes"},
	})
}

func TestKeyLimits(t *testing.T) {
	t.Parallel()
	refusedByAll(t, goodEntry, func(e *pb.InventoryEntry) error { return decodeAgent(agentInventory(e)) }, []change[*pb.InventoryEntry]{
		{"no key", func(e *pb.InventoryEntry) { e.Key = nil }, "without kind or name"},
		{"no kind", func(e *pb.InventoryEntry) { e.Key.Kind = "" }, "without kind or name"},
		{"no name", func(e *pb.InventoryEntry) { e.Key.Name = "" }, "without kind or name"},
		{"group", func(e *pb.InventoryEntry) { e.Key.Group += "x" }, "group of 254 bytes"},
		{"kind", func(e *pb.InventoryEntry) { e.Key.Kind += "x" }, "kind of 64 bytes"},
		{"namespace", func(e *pb.InventoryEntry) { e.Key.Namespace += "x" }, "namespace of 254 bytes"},
		{"name", func(e *pb.InventoryEntry) { e.Key.Name += "x" }, "name of 254 bytes"},
	})
}

func TestInventoryLimits(t *testing.T) {
	t.Parallel()
	refusedByAll(t, goodEntry, func(e *pb.InventoryEntry) error { return decodeAgent(agentInventory(e)) }, []change[*pb.InventoryEntry]{
		{"uid", func(e *pb.InventoryEntry) { e.Uid += "x" }, "uid of 129 bytes"},
		{"version", func(e *pb.InventoryEntry) { e.Version += "x" }, "version of 129 bytes"},
		{"digest", func(e *pb.InventoryEntry) { e.Digest = e.Digest[1:] }, "digest of 15 bytes"},
		{"no state", func(e *pb.InventoryEntry) { e.State = 0 }, "apply state"},
		{"removed", func(e *pb.InventoryEntry) { e.State = pb.ApplyState_APPLY_STATE_REMOVED }, "apply state"},
		{"unknown state", func(e *pb.InventoryEntry) { e.State = 8 }, "apply state"},
		{"negative state", func(e *pb.InventoryEntry) { e.State = -1 }, "apply state"},
		{"message", func(e *pb.InventoryEntry) { e.Message += "x" }, "message of 1025 bytes"},
	})
}

func TestAppliedLimits(t *testing.T) {
	t.Parallel()
	refusedByAll(t, goodResult, func(r *pb.ApplyResult) error { return decodeAgent(agentApplied(r)) }, []change[*pb.ApplyResult]{
		{"no key", func(r *pb.ApplyResult) { r.Key = nil }, "without kind or name"},
		{"uid", func(r *pb.ApplyResult) { r.Uid += "x" }, "uid of 129 bytes"},
		{"digest", func(r *pb.ApplyResult) { r.Digest = nil }, "digest of 0 bytes"},
		{"no state", func(r *pb.ApplyResult) { r.State = 0 }, "apply state"},
		{"unknown state", func(r *pb.ApplyResult) { r.State = 8 }, "apply state"},
		{"message", func(r *pb.ApplyResult) { r.Message += "x" }, "message of 1025 bytes"},
	})
	progressing := goodResult()
	progressing.State = pb.ApplyState_APPLY_STATE_PROGRESSING
	NewWithT(t).Expect(decodeAgent(agentApplied(progressing))).To(Succeed())
}

func TestNackLimits(t *testing.T) {
	t.Parallel()
	refusedByAll(t, goodNack, func(n *pb.Nack) error { return decodeAgent(agentNack(n)) }, []change[*pb.Nack]{
		{"no code", func(n *pb.Nack) { n.Code = 0 }, "nack code 0"},
		{"unknown code", func(n *pb.Nack) { n.Code = 9 }, "nack code 9"},
		{"message", func(n *pb.Nack) { n.Message += "x" }, "message of 1025 bytes"},
		{"uid", func(n *pb.Nack) { n.HeldUid += "x" }, "uid of 129 bytes"},
		{"version", func(n *pb.Nack) { n.HeldVersion += "x" }, "version of 129 bytes"},
		{"digest", func(n *pb.Nack) { n.HeldDigest = nil }, "digest of 0 bytes"},
	})
}

func TestRangeLimits(t *testing.T) {
	t.Parallel()
	many := make([]*pb.SequenceRange, MaxEntries+1)
	for i := range many {
		many[i] = &pb.SequenceRange{}
	}
	for name, message := range map[string]func(...*pb.SequenceRange) *pb.AgentMessage{"ack": agentAck, "done": agentDone} {
		g := NewWithT(t)
		g.Expect(decodeAgent(message(many[1:]...))).To(Succeed(), name)
		g.Expect(decodeAgent(message(many...))).To(MatchError(ContainSubstring("4097 ranges")), name)
		g.Expect(decodeAgent(message(&pb.SequenceRange{First: 5, Last: 4}))).To(MatchError(ContainSubstring("from 5 to 4")), name)
	}
}

func TestPutLimits(t *testing.T) {
	t.Parallel()
	put := func(p *pb.Put) error { return decodeHub(&pb.HubMessage{Body: &pb.HubMessage_Put{Put: p}}) }
	refusedByAll(t, goodPut, put, []change[*pb.Put]{
		{"no key", func(p *pb.Put) { p.Key = nil }, "without kind or name"},
		{"no encoding", func(p *pb.Put) { p.Encoding = 0 }, "encoding 0"},
		{"unknown encoding", func(p *pb.Put) { p.Encoding = 4 }, "encoding 4"},
		{"base of JSON", func(p *pb.Put) { p.Base = make([]byte, BaseBytes) }, "base of 4 bytes for encoding 1"},
		{"base of ZSTD", func(p *pb.Put) { p.Base, p.Encoding = []byte{1}, pb.Encoding_ENCODING_ZSTD }, "base of 1 bytes for encoding 2"},
		{"uid", func(p *pb.Put) { p.Uid += "x" }, "uid of 129 bytes"},
		{"version", func(p *pb.Put) { p.Version += "x" }, "version of 129 bytes"},
		{"apiVersion", func(p *pb.Put) { p.ApiVersion += "x" }, "apiVersion of 318 bytes"},
		{"resource", func(p *pb.Put) { p.Resource += "x" }, "resource of 254 bytes"},
		{"payload", func(p *pb.Put) { p.Payload = make([]byte, MaxObjectBytes+1) }, "payload of 4194305 bytes"},
	})
}

func TestDeltaLimits(t *testing.T) {
	t.Parallel()
	put := func(p *pb.Put) error { return decodeHub(&pb.HubMessage{Body: &pb.HubMessage_Put{Put: p}}) }
	refusedByAll(t, goodDelta, put, []change[*pb.Put]{
		{"no base", func(p *pb.Put) { p.Base = nil }, "base of 0 bytes"},
		{"a whole digest", func(p *pb.Put) { p.Base = digest() }, "base of 16 bytes"},
		{"uid", func(p *pb.Put) { p.Uid = "x" }, "a difference with"},
		{"apiVersion", func(p *pb.Put) { p.ApiVersion = "x" }, "a difference with"},
		{"resource", func(p *pb.Put) { p.Resource = "x" }, "a difference with"},
		{"no key", func(p *pb.Put) { p.Key = nil }, "without kind or name"},
		{"payload", func(p *pb.Put) { p.Payload = make([]byte, MaxObjectBytes+1) }, "payload of 4194305 bytes"},
	})
}

func TestDeleteLimits(t *testing.T) {
	t.Parallel()
	decode := func(d *pb.Delete) error { return decodeHub(&pb.HubMessage{Body: &pb.HubMessage_Delete{Delete: d}}) }
	refusedByAll(t, goodDelete, decode, []change[*pb.Delete]{
		{"no key", func(d *pb.Delete) { d.Key = nil }, "without kind or name"},
		{"uid", func(d *pb.Delete) { d.Uid += "x" }, "uid of 129 bytes"},
		{"as of", func(d *pb.Delete) { d.AsOf += "x" }, "version of 129 bytes"},
	})
}

func TestHubInfoLimits(t *testing.T) {
	t.Parallel()
	info := func(i *pb.HubInfo) error { return decodeHub(&pb.HubMessage{Body: &pb.HubMessage_HubInfo{HubInfo: i}}) }
	refusedByAll(t, goodHubInfo, info, []change[*pb.HubInfo]{
		{"many addresses", func(i *pb.HubInfo) { i.Addresses = append(i.Addresses, "x") }, "9 hub addresses"},
		{"address", func(i *pb.HubInfo) { i.Addresses[0] += "x" }, "hub address of 1025 bytes"},
		{"nobody to trust", func(i *pb.HubInfo) { i.Authorities = nil }, "0 CA certificates"},
		{"many to trust", func(i *pb.HubInfo) { i.Authorities = append(i.Authorities, nil) }, "17 CA certificates"},
		{"authority", func(i *pb.HubInfo) { i.Authorities[0] = append(i.Authorities[0], 0) }, "CA certificate of 8193 bytes"},
	})
}

// What differs in anything has another digest.
func TestHubInfoDigest(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	seen := map[object.Digest]*pb.HubInfo{}
	for _, info := range []*pb.HubInfo{
		{},
		{Addresses: []string{""}},
		{Authorities: [][]byte{nil}},
		{Addresses: []string{"a", "b"}},
		{Addresses: []string{"b", "a"}},
		{Addresses: []string{"ab"}},
		{Addresses: []string{"a"}, Authorities: [][]byte{[]byte("b")}},
		{Authorities: [][]byte{[]byte("a"), []byte("b")}},
		{Authorities: [][]byte{[]byte("ab")}},
	} {
		g.Expect(seen).NotTo(HaveKey(HubInfoDigest(info)), "%v", info)
		seen[HubInfoDigest(info)] = info
	}
	g.Expect(fmt.Sprintf("%x", HubInfoDigest(&pb.HubInfo{Addresses: []string{"https://hub.example:10443"}, Authorities: [][]byte{[]byte("DER")}}))).
		To(Equal("2631b8dd824bd1f44a36d828ff8d7005"), "as docs/protocol.md says")
}

func TestOtherHubLimits(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for says, message := range map[string]*pb.HubMessage{
		"session of 129 bytes":       {Body: &pb.HubMessage_Welcome{Welcome: &pb.Welcome{Session: long(129)}}},
		"cluster epoch of 129 bytes": {Body: &pb.HubMessage_Welcome{Welcome: &pb.Welcome{ClusterEpoch: long(129)}}},
		"redirect of 1025 bytes":     {Body: &pb.HubMessage_Drain{Drain: &pb.Drain{Redirect: long(1025)}}},
		"view of 257 bytes":          {Body: &pb.HubMessage_Bookmark{Bookmark: &pb.Bookmark{View: make([]byte, MaxViewBytes+1)}}},
		"does not know":              {},
	} {
		g.Expect(decodeHub(message)).To(And(MatchError(ErrMalformed), MatchError(ContainSubstring(says))), says)
	}
}
