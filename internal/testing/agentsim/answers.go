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
	nacks []*pb.AgentMessage
	// taken are the messages that were, or were refused, done those of which nothing is
	// left to do.
	taken, done []*pb.SequenceRange
	// results are about what is held in the place of what was refused.
	results []*pb.ApplyResult
}

func extend(ranges []*pb.SequenceRange, sequence uint64) []*pb.SequenceRange {
	if n := len(ranges); n > 0 && ranges[n-1].Last+1 == sequence {
		ranges[n-1].Last = sequence
		return ranges
	}
	return append(ranges, &pb.SequenceRange{First: sequence, Last: sequence})
}

// put answers a Put, with nack unless that is nil.
func (a *answers) put(put *pb.Put, nack *pb.Nack) {
	a.answer(put.GetSequence(), put.GetKey(), nack, true)
}

// delete answers a Delete likewise.
func (a *answers) delete(del *pb.Delete, nack *pb.Nack) {
	a.answer(del.GetSequence(), del.GetKey(), nack, !del.GetRelease())
}

// answer says that a message was taken, and, if a result is due, that it is done.
func (a *answers) answer(sequence uint64, key *pb.ObjectKey, nack *pb.Nack, due bool) {
	a.taken = extend(a.taken, sequence)
	if nack == nil {
		if due {
			a.done = extend(a.done, sequence)
		}
		return
	}
	a.nacks = append(a.nacks, &pb.AgentMessage{Body: &pb.AgentMessage_Nack{Nack: nack}})
	if nack.GetCode() == pb.NackCode_NACK_CODE_STALE {
		a.results = append(a.results, &pb.ApplyResult{
			Key: key, Uid: nack.GetHeldUid(), Digest: nack.GetHeldDigest(), State: pb.ApplyState_APPLY_STATE_APPLIED,
		})
	}
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
	messages := a.nacks
	messages = append(messages, &pb.AgentMessage{Body: &pb.AgentMessage_Ack{Ack: ack}})
	if len(a.results)+len(a.done) > 0 {
		applied := &pb.Applied{Results: a.results, Done: a.done}
		messages = append(messages, &pb.AgentMessage{Body: &pb.AgentMessage_Applied{Applied: applied}})
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
