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
	"bytes"
	"unique"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/payload"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// inventoryPart is how many entries go into one Inventory: with names of common length a
// frame of them is well below the limit.
const inventoryPart = 1000

// memory is what an agent keeps from session to session. Everything that it holds is
// applied.
type memory struct {
	held map[object.Key]holding
	// epoch is that of the store, cluster the cluster's, both as in Hello.
	epoch, cluster string
	hubInfo, view  []byte
}

// holding shares its payload with all agents of the process that hold the same.
type holding struct {
	object.Holding
	payload unique.Handle[string]
}

func (m *memory) digest() object.Digest {
	fingerprints := make([]object.Digest, 0, len(m.held))
	for key, h := range m.held {
		fingerprints = append(fingerprints, h.Fingerprint(key))
	}
	return object.InventoryDigest(fingerprints)
}

// inventory is everything that is held, as the messages that declare it.
func (m *memory) inventory() []*pb.AgentMessage {
	part := &pb.Inventory{}
	messages := []*pb.AgentMessage{inventoryMessage(part)}
	for key, h := range m.held {
		if len(part.Entries) == inventoryPart {
			part = &pb.Inventory{}
			messages = append(messages, inventoryMessage(part))
		}
		part.Entries = append(part.Entries, &pb.InventoryEntry{
			Key: protocol.KeyToPB(key), Uid: h.UID, Version: h.Version, Digest: h.Digest[:], Retain: h.Retain,
			State: pb.ApplyState_APPLY_STATE_APPLIED,
		})
	}
	part.Last = true
	return messages
}

func inventoryMessage(part *pb.Inventory) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Inventory{Inventory: part}}
}

// put takes an object over, unless it returns a Nack.
func (m *memory) put(put *pb.Put) *pb.Nack {
	key := protocol.KeyFromPB(put.GetKey())
	held, holds := m.held[key]
	data, nack := decode(put, held)
	if nack != nil {
		return nack
	}
	next := object.Holding{
		UID: put.GetUid(), Version: put.GetVersion(), Digest: object.DigestOf(data), Retain: put.GetRetain(),
	}
	if put.GetEncoding() == pb.Encoding_ENCODING_ZSTD_DELTA {
		next.UID = held.UID
	}
	switch delivery.Admit(held.Holding, holds, next, put.GetForce()) {
	case delivery.Stale:
		return stale(put.GetSequence(), held)
	case delivery.Refresh:
		m.held[key] = holding{next, held.payload}
	default:
		m.held[key] = holding{next, unique.Make(string(data))}
	}
	return nil
}

// delete lets go of the object with just this uid, unless it returns a Nack.
func (m *memory) delete(del *pb.Delete) *pb.Nack {
	key := protocol.KeyFromPB(del.GetKey())
	held, holds := m.held[key]
	switch {
	case !holds || held.UID != del.GetUid():
	case object.Older(del.GetAsOf(), held.Version):
		return stale(del.GetSequence(), held)
	default:
		delete(m.held, key)
	}
	return nil
}

func stale(sequence uint64, held holding) *pb.Nack {
	return &pb.Nack{
		Sequence: sequence, Code: pb.NackCode_NACK_CODE_STALE,
		HeldUid: held.UID, HeldVersion: held.Version, HeldDigest: held.Digest[:],
	}
}

// decode is the payload of a Put, with which a difference is to what is held.
func decode(put *pb.Put, held holding) ([]byte, *pb.Nack) {
	var base []byte
	if put.GetEncoding() == pb.Encoding_ENCODING_ZSTD_DELTA {
		if held.payload == (unique.Handle[string]{}) || !bytes.Equal(put.GetBase(), held.Digest[:len(put.GetBase())]) {
			return nil, &pb.Nack{Sequence: put.GetSequence(), Code: pb.NackCode_NACK_CODE_NO_BASE}
		}
		base = []byte(held.payload.Value())
	}
	decoded, err := payload.Decode(put.GetEncoding(), base, put.GetPayload(), protocol.MaxObjectBytes)
	if err != nil {
		return nil, &pb.Nack{Sequence: put.GetSequence(), Code: pb.NackCode_NACK_CODE_REJECT, Message: err.Error()}
	}
	return decoded, nil
}
