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
	"google.golang.org/protobuf/proto"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// hello is the first message of a session.
func (l *Link) hello() (*pb.Hello, error) {
	count, digest, err := l.config.Store.InventoryDigest()
	if err != nil {
		return nil, err
	}
	clusterEpoch, err := l.config.Store.ClusterEpoch()
	if err != nil {
		return nil, err
	}
	view, err := l.config.Store.View()
	if err != nil {
		return nil, err
	}
	hello := &pb.Hello{
		ProtocolVersions: []uint32{protocol.Version},
		AgentVersion:     l.config.AgentVersion,
		BootId:           l.config.BootID,
		StoreEpoch:       l.config.Store.Epoch(),
		ClusterEpoch:     clusterEpoch,
		InventoryCount:   uint32(count),
		InventoryDigest:  digest[:],
		MaxObjectBytes:   uint32(l.config.MaxObjectBytes),
		Labels:           l.config.Labels,
		View:             view,
		Encodings:        []pb.Encoding{pb.Encoding_ENCODING_ZSTD, pb.Encoding_ENCODING_ZSTD_DELTA},
	}
	if known := l.config.HubInfoDigest(); known != (object.Digest{}) {
		hello.HubInfoDigest = known[:]
	}
	return hello, nil
}

// inventory is the store's content as encoded frames, of which the last is marked.
// There is always one.
func inventory(from Store) ([][]byte, error) {
	var c chunker
	if err := from.ForEach(func(entry store.Entry) error { return c.add(inventoryEntry(&entry)) }); err != nil {
		return nil, err
	}
	return c.finish()
}

// inventoryMessages bounds the messages of an inventory, in bytes: where everything has
// failed, the first objects say why, and there is still room for the others.
const inventoryMessages = 4 << 20

// chunker splits an inventory into frames within the limits.
type chunker struct {
	frames   [][]byte
	entries  []*pb.InventoryEntry
	size     int
	messages int // bytes
}

func (c *chunker) add(entry *pb.InventoryEntry) error {
	if c.size >= frameBytes || len(c.entries) == protocol.MaxEntries {
		if err := c.cut(false); err != nil {
			return err
		}
	}
	if c.messages += len(entry.GetMessage()); c.messages > inventoryMessages {
		entry.Message = ""
	}
	c.entries = append(c.entries, entry)
	c.size += proto.Size(entry)
	return nil
}

func (c *chunker) finish() ([][]byte, error) {
	err := c.cut(true)
	return c.frames, err
}

func (c *chunker) cut(last bool) error {
	frame, err := protocol.EncodeAgent(&pb.AgentMessage{Body: &pb.AgentMessage_Inventory{
		Inventory: &pb.Inventory{Entries: c.entries, Last: last},
	}})
	c.frames = append(c.frames, frame)
	c.entries, c.size = nil, 0
	return err
}

func inventoryEntry(entry *store.Entry) *pb.InventoryEntry {
	return &pb.InventoryEntry{
		Key:     protocol.KeyToPB(entry.Key),
		Uid:     entry.UID,
		Version: entry.Version,
		Digest:  entry.Digest[:],
		Retain:  entry.Retain,
		State:   pb.ApplyState(entry.State),
		Message: entry.Message,
	}
}

func resultOf(entry *store.Entry) *pb.ApplyResult {
	return &pb.ApplyResult{
		Key:     protocol.KeyToPB(entry.Key),
		Uid:     entry.UID,
		Digest:  entry.Digest[:],
		State:   pb.ApplyState(entry.State),
		Message: entry.Message,
	}
}

func removed(ref reference) *pb.ApplyResult {
	return &pb.ApplyResult{
		Key:    protocol.KeyToPB(ref.key),
		Uid:    ref.uid,
		Digest: make([]byte, object.DigestSize),
		State:  pb.ApplyState_APPLY_STATE_REMOVED,
	}
}
