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
	"fmt"
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// retryAfter is how long the hub should keep what the store could not take.
const retryAfter = 5 * time.Second

// batch is what becomes durable together, in the order of its sequences.
type batch struct {
	maxObjectBytes int
	// last is the highest sequence so far, in this batch or before.
	last uint64
	ops  []store.Op
	// sequences are those of ops.
	sequences []uint64
	// refused are the messages that never reach the store.
	refused []*pb.Nack
}

func (b *batch) empty() bool { return len(b.ops) == 0 && len(b.refused) == 0 }

// take counts a sequence. Everything up to it has been taken, so that one number is
// enough for an ack.
func (b *batch) take(sequence uint64) error {
	if sequence <= b.last {
		return fmt.Errorf("%w: sequence %d after %d", errProtocol, sequence, b.last)
	}
	b.last = sequence
	return nil
}

func (b *batch) put(put *pb.Put) error {
	if err := b.take(put.GetSequence()); err != nil {
		return err
	}
	if err := checkPayload(put, b.maxObjectBytes); err != nil {
		b.refused = append(b.refused, reject(put.GetSequence(), err))
		return nil
	}
	b.add(put.GetSequence(), store.Op{Put: &store.Put{
		Record: store.Record{
			Object: object.Object{
				Key:        protocol.KeyFromPB(put.GetKey()),
				APIVersion: put.GetApiVersion(),
				Resource:   put.GetResource(),
				UID:        put.GetUid(),
				Version:    put.GetVersion(),
				Payload:    put.GetPayload(),
			},
			Retain: put.GetRetain(),
		},
		Force: put.GetForce(),
	}})
	return nil
}

func (b *batch) delete(del *pb.Delete) error {
	if err := b.take(del.GetSequence()); err != nil {
		return err
	}
	b.add(del.GetSequence(), store.Op{Delete: &store.Delete{
		Key:     protocol.KeyFromPB(del.GetKey()),
		UID:     del.GetUid(),
		Release: del.GetRelease(),
	}})
	return nil
}

func (b *batch) add(sequence uint64, op store.Op) {
	b.ops = append(b.ops, op)
	b.sequences = append(b.sequences, sequence)
}

// nacks are the refusals in the answer to the batch, given what the store made of it.
func (b *batch) nacks(outcomes []store.Outcome, commitErr error) []*pb.Nack {
	nacks := b.refused
	if commitErr != nil {
		for _, sequence := range b.sequences {
			nacks = append(nacks, &pb.Nack{
				Sequence:     sequence,
				Code:         pb.NackCode_NACK_CODE_RETRY,
				Message:      oneLine(commitErr.Error()),
				RetryAfterMs: uint32(retryAfter.Milliseconds()),
			})
		}
		return nacks
	}
	for i, outcome := range outcomes {
		switch outcome.Result {
		case store.Stale:
			nacks = append(nacks, stale(b.sequences[i], outcome.Held))
		case store.Invalid:
			nacks = append(nacks, reject(b.sequences[i], outcome.Err))
		}
	}
	return nacks
}

// follow sorts the keys of a stored batch: the targets have work to do for some. For
// others nothing will change by itself, but the hub counts what it has sent, and what
// it was told to be held, as pending until it hears of the state.
func (b *batch) follow(outcomes []store.Outcome) (work []object.Key, unchanged []reference) {
	for i, outcome := range outcomes {
		ref := referenceOf(b.ops[i])
		switch {
		case outcome.Work:
			work = append(work, ref.key)
		case outcome.Result != store.Invalid:
			unchanged = append(unchanged, ref)
		}
	}
	return work, unchanged
}

// reference names one object, not only its place.
type reference struct {
	key     object.Key
	uid     string
	deleted bool
}

func referenceOf(op store.Op) reference {
	if op.Put != nil {
		return reference{key: op.Put.Key, uid: op.Put.UID}
	}
	return reference{key: op.Delete.Key, uid: op.Delete.UID, deleted: true}
}

func reject(sequence uint64, why error) *pb.Nack {
	if why == nil {
		why = errors.New("refused by the store")
	}
	return &pb.Nack{
		Sequence: sequence,
		Code:     pb.NackCode_NACK_CODE_REJECT,
		Message:  oneLine(why.Error()),
	}
}

func stale(sequence uint64, held object.Holding) *pb.Nack {
	return &pb.Nack{
		Sequence:    sequence,
		Code:        pb.NackCode_NACK_CODE_STALE,
		Message:     oneLine("the node holds version " + held.Version),
		HeldUid:     held.UID,
		HeldVersion: held.Version,
		HeldDigest:  held.Digest[:],
	}
}
