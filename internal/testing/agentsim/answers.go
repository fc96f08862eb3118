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
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// answers gathers what is to be said of the messages of a frame.
type answers struct {
	nacks   []*pb.AgentMessage
	taken   []*pb.SequenceRange
	results []*pb.ApplyResult
}

func (a *answers) take(sequence uint64) {
	if n := len(a.taken); n > 0 && a.taken[n-1].Last+1 == sequence {
		a.taken[n-1].Last = sequence
		return
	}
	a.taken = append(a.taken, &pb.SequenceRange{First: sequence, Last: sequence})
}

// put answers a Put, with nack unless that is nil. What is held then has this digest.
func (a *answers) put(put *pb.Put, digest object.Digest, nack *pb.Nack) {
	uid := put.GetUid()
	if nack != nil {
		a.nacks = append(a.nacks, &pb.AgentMessage{Body: &pb.AgentMessage_Nack{Nack: nack}})
		uid = nack.GetHeldUid()
	}
	a.take(put.GetSequence())
	if nack != nil && nack.GetCode() != pb.NackCode_NACK_CODE_STALE {
		return // nothing has changed
	}
	a.results = append(a.results, &pb.ApplyResult{
		Key: put.GetKey(), Uid: uid, Digest: digest[:], State: pb.ApplyState_APPLY_STATE_APPLIED,
	})
}

func (a *answers) delete(del *pb.Delete) {
	a.take(del.GetSequence())
	if del.GetRelease() {
		return
	}
	a.results = append(a.results, &pb.ApplyResult{
		Key: del.GetKey(), Uid: del.GetUid(), Digest: make([]byte, object.DigestSize),
		State: pb.ApplyState_APPLY_STATE_REMOVED,
	})
}

// messages are the answers in the order in which they are to be sent. ignored is the first
// message of the session that was ignored, 0 if none was.
func (a *answers) messages(ignored uint64) []*pb.AgentMessage {
	if len(a.taken) == 0 {
		return nil
	}
	ack := &pb.Ack{Cumulative: a.taken[len(a.taken)-1].Last}
	if ignored > 0 {
		ack = &pb.Ack{Cumulative: ignored - 1, Ranges: a.taken}
	}
	messages := append(a.nacks, &pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: ack}})
	if len(a.results) > 0 {
		messages = append(messages, &pb.AgentMessage{Body: &pb.AgentMessage_Applied{Applied: &pb.Applied{Results: a.results}}})
	}
	return messages
}

// KeyOf is what a Put or Delete is about.
func KeyOf(message *pb.HubMessage) object.Key {
	if put := message.GetPut(); put != nil {
		return protocol.KeyFromPB(put.GetKey())
	}
	return protocol.KeyFromPB(message.GetDelete().GetKey())
}
