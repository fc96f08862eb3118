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

package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
)

// Commit carries out the ops in their order, in one transaction that waits for the
// disk once. After an error nothing has changed, or, if the disk failed at the very
// end, everything may have; repeating the ops is harmless either way. There is one
// outcome for each op.
//
//   - A put that is older than what is held is Stale, unless it is forced. One that
//     has the same content takes over the version and keeps the state. Any other
//     replaces what is held and is Pending. On a tombstone it is as if nothing were held.
//   - A delete with another uid than the held one changes nothing, and one AsOf an older
//     version than the held one is Stale. With Release the
//     record, or its tombstone, is forgotten; else a tombstone in state Removing
//     takes the record's place until SetStates says Removed.
func (s *Store) Commit(ops []Op) ([]Outcome, error) {
	outcomes := make([]Outcome, len(ops))
	err := s.update(func(tx *bolt.Tx) (bool, error) {
		w := s.newWriter(tx)
		for i := range ops {
			var err error
			if outcomes[i], err = w.execute(&ops[i]); err != nil {
				return false, err
			}
		}
		return w.changed, nil
	})
	if err != nil {
		return nil, fmt.Errorf("store %d changes: %w", len(ops), err)
	}
	return outcomes, nil
}

// SetStates records what the targets made of records, in one transaction. A change
// that is about another revision than the stored one is ignored.
func (s *Store) SetStates(changes []StateChange) error {
	err := s.update(func(tx *bolt.Tx) (bool, error) {
		w := s.newWriter(tx)
		for i := range changes {
			if err := w.setState(&changes[i]); err != nil {
				return false, err
			}
		}
		return w.changed, nil
	})
	if err != nil {
		return fmt.Errorf("store %d states: %w", len(changes), err)
	}
	return nil
}

// writer carries out changes within one transaction.
type writer struct {
	store             *Store
	entries, payloads *bolt.Bucket
	now               time.Time
	changed           bool
}

func (s *Store) newWriter(tx *bolt.Tx) *writer {
	return &writer{
		store:    s,
		entries:  tx.Bucket(entriesBucket),
		payloads: tx.Bucket(payloadsBucket),
		now:      time.Now(),
	}
}

func (w *writer) execute(op *Op) (Outcome, error) {
	switch {
	case op.Put != nil && op.Delete == nil:
		return w.put(op.Put)
	case op.Delete != nil && op.Put == nil:
		return w.delete(op.Delete)
	default:
		return Outcome{}, errors.New("an op must be either a put or a delete")
	}
}

func (w *writer) put(put *Put) (Outcome, error) {
	if err := validate(&put.Record); err != nil {
		return Outcome{Result: Invalid, Err: err}, nil
	}
	rawKey := encodeKey(put.Key)
	held, exists, err := w.get(rawKey)
	if err != nil {
		return Outcome{}, err
	}
	entry := Entry{Record: put.Record, State: Pending, Since: w.now}
	entry.Digest = object.DigestOf(put.Payload)
	holds := exists && !held.State.Tombstone()

	switch delivery.Admit(held.Holding(), holds, entry.Holding(), put.Force) {
	case delivery.Stale:
		return Outcome{Result: Stale, Held: held.Holding()}, nil
	case delivery.Refresh:
		if held.Version == put.Version {
			return Outcome{Work: held.State != Applied, Held: held.Holding()}, nil
		}
		held.Version = put.Version
		return Outcome{Work: true, Held: held.Holding()}, w.putEntry(rawKey, &held)
	default:
		return Outcome{Work: true, Held: entry.Holding()}, w.replace(rawKey, &entry)
	}
}

func (w *writer) replace(rawKey []byte, entry *Entry) error {
	if err := w.payloads.Put(rawKey, entry.Payload); err != nil {
		return err
	}
	return w.putRevision(rawKey, entry)
}

func (w *writer) delete(del *Delete) (Outcome, error) {
	rawKey := encodeKey(del.Key)
	held, exists, err := w.get(rawKey)
	if err != nil || !exists {
		return Outcome{}, err
	}
	if held.UID != del.UID {
		return Outcome{Held: heldBy(&held)}, nil
	}
	if !held.State.Tombstone() && object.Older(del.AsOf, held.Version) {
		return Outcome{Result: Stale, Held: held.Holding()}, nil
	}
	if del.Release {
		return Outcome{}, w.forget(rawKey)
	}
	if held.State.Tombstone() {
		return Outcome{Work: true}, nil
	}
	held.State, held.Message, held.Since = Removing, "", w.now
	if err := w.payloads.Delete(rawKey); err != nil {
		return Outcome{}, err
	}
	return Outcome{Work: true}, w.putRevision(rawKey, &held)
}

// heldBy is what an entry holds: nothing, if it is a tombstone.
func heldBy(entry *Entry) object.Holding {
	if entry.State.Tombstone() {
		return object.Holding{}
	}
	return entry.Holding()
}

func (w *writer) setState(change *StateChange) error {
	if !change.State.valid() {
		return fmt.Errorf("%s: %s cannot be stored", change.Key, change.State)
	}
	rawKey := encodeKey(change.Key)
	entry, exists, err := w.get(rawKey)
	if err != nil || !exists || entry.Revision != change.Revision {
		return err
	}
	if entry.State.Tombstone() != change.State.Tombstone() {
		return fmt.Errorf("%s: %s cannot follow %s", change.Key, change.State, entry.State)
	}
	if change.State == Removed {
		return w.forget(rawKey)
	}
	message := protocol.Truncate(change.Message)
	if entry.State == change.State && entry.Message == message {
		return nil
	}
	if entry.State != change.State {
		entry.Since = w.now
	}
	entry.State, entry.Message = change.State, message
	return w.putEntry(rawKey, &entry)
}

func (w *writer) get(rawKey []byte) (entry Entry, exists bool, err error) {
	value := w.entries.Get(rawKey)
	if value == nil {
		return Entry{}, false, nil
	}
	if entry, err = decode(rawKey, value); err != nil {
		return Entry{}, false, w.store.corrupt(err)
	}
	return entry, true, nil
}

// putRevision writes an entry that the targets have not seen.
func (w *writer) putRevision(rawKey []byte, entry *Entry) (err error) {
	if entry.Revision, err = w.entries.NextSequence(); err != nil {
		return err
	}
	return w.putEntry(rawKey, entry)
}

func (w *writer) putEntry(rawKey []byte, entry *Entry) error {
	w.changed = true
	return w.entries.Put(rawKey, encodeEntry(entry))
}

func (w *writer) forget(rawKey []byte) error {
	w.changed = true
	return errors.Join(w.entries.Delete(rawKey), w.payloads.Delete(rawKey))
}

// validate refuses what cannot be encoded.
func validate(r *Record) error {
	if r.Kind == "" || r.Name == "" {
		return errors.New("an object without kind or name")
	}
	key := r.Key
	for _, field := range []string{key.Group, key.Kind, key.Namespace, key.Name, r.UID, r.Version, r.APIVersion, r.Resource} {
		if len(field) > maxFieldBytes {
			return fmt.Errorf("a field of %d bytes, more than %d", len(field), maxFieldBytes)
		}
		if strings.Contains(field, keySeparator) {
			return errors.New("a field that contains a NUL")
		}
	}
	return nil
}
