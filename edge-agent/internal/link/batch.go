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
	// held is the store's Get.
	held func(key object.Key) (entry store.Entry, exists bool, err error)
	// last is the highest sequence so far, in this batch or before.
	last uint64
	ops  []store.Op
	// sequences are those of ops.
	sequences []uint64
	// keys are those of ops, and bytes those of their payloads together.
	keys  map[object.Key]bool
	bytes int
	// refused are the messages that never reach the store.
	refused []*pb.Nack
}

// full reports whether the batch is to be committed before anything is added to it. A
// small frame may hold payloads that are large once they are decoded.
func (b *batch) full() bool { return b.bytes >= maxBuffered }

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
	record, err := b.record(put)
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return err
	case errors.Is(err, errNoBase):
		b.refused = append(b.refused, refuse(put.GetSequence(), pb.NackCode_NACK_CODE_NO_BASE, err))
	case err != nil:
		b.refused = append(b.refused, reject(put.GetSequence(), err))
	default:
		b.bytes += len(record.Payload)
		b.add(put.GetSequence(), record.Key, store.Op{Put: &store.Put{Record: record, Force: put.GetForce()}})
	}
	return nil
}

func (b *batch) delete(del *pb.Delete) error {
	if err := b.take(del.GetSequence()); err != nil {
		return err
	}
	key := protocol.KeyFromPB(del.GetKey())
	b.add(del.GetSequence(), key, store.Op{Delete: &store.Delete{
		Key:     key,
		UID:     del.GetUid(),
		Release: del.GetRelease(),
		AsOf:    del.GetAsOf(),
	}})
	return nil
}

func (b *batch) add(sequence uint64, key object.Key, op store.Op) {
	b.keys[key] = true
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

// expect tells the results that are due for what was stored.
func (b *batch) expect(outcomes []store.Outcome, tell func(object.Key, expectation)) {
	for i, outcome := range outcomes {
		if outcome.Result != store.Stored {
			continue
		}
		ref := referenceOf(b.ops[i])
		tell(ref.key, expectation{
			sequence: b.sequences[i],
			uid:      ref.uid,
			digest:   outcome.Held.Digest,
			deleted:  ref.deleted,
		})
	}
}

// follow sorts the keys of a stored batch: the targets have work to do for some. For
// others nothing will change by itself, but the hub counts what it has sent, and what
// it was told to be held, as pending until it hears of the state.
func (b *batch) follow(outcomes []store.Outcome) (work []object.Key, unchanged []reference) {
	for i, outcome := range outcomes {
		ref := referenceOf(b.ops[i])
		ref.deleted = ref.deleted && outcome.Result != store.Stale
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
	key object.Key
	uid string
	// deleted says that nothing with this uid is held any more.
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
	return refuse(sequence, pb.NackCode_NACK_CODE_REJECT, why)
}

func refuse(sequence uint64, code pb.NackCode, why error) *pb.Nack {
	return &pb.Nack{Sequence: sequence, Code: code, Message: oneLine(why.Error())}
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
