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
	"bytes"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/edgesync/edgesync/internal/protocol"
)

var viewKey = []byte("view")

// View is the last SetView, also of an earlier process; nil if there was none.
func (s *Store) View() ([]byte, error) {
	if unsaved := s.unsavedView.Load(); unsaved != nil {
		return slices.Clone(*unsaved), nil
	}
	var view []byte
	err := s.view(func(tx *bolt.Tx) error {
		view = slices.Clone(tx.Bucket(metaBucket).Get(viewKey))
		return nil
	})
	return view, err
}

// SetView remembers how much the hub knew when it had sent all that is held. It does not
// wait for the disk: the view becomes durable with the next change of anything else, with
// SaveView, and with Close. A crash before that leaves the view before.
//
// That is enough because the view comes after the objects that it speaks of: they are
// durable already, and a crash in between is like one just before it came. A hub that is
// behind the lost view and not behind the one before could then take the node for one that
// should hold less, if the node came back to it before it has caught up. It would still
// find every object that is newer than what it knows refused as Stale.
func (s *Store) SetView(view []byte) error {
	if len(view) > protocol.MaxViewBytes {
		return fmt.Errorf("a view of %d bytes, more than %d", len(view), protocol.MaxViewBytes)
	}
	known, err := s.View()
	if err != nil || bytes.Equal(known, view) {
		return err
	}
	view = slices.Clone(view)
	s.unsavedView.Store(&view)
	return nil
}

// SaveView makes the last SetView durable, and costs nothing if it is.
func (s *Store) SaveView() error {
	if s.unsavedView.Load() == nil {
		return nil
	}
	return s.update(func(*bolt.Tx) (bool, error) { return true, nil })
}

// putView adds the view to a transaction that is to be committed. What it returns is to be
// called once that has succeeded.
func (s *Store) putView(tx *bolt.Tx) (saved func(), err error) {
	unsaved := s.unsavedView.Load()
	if unsaved == nil {
		return func() {}, nil
	}
	err = tx.Bucket(metaBucket).Put(viewKey, *unsaved)
	return func() { s.unsavedView.CompareAndSwap(unsaved, nil) }, err
}
