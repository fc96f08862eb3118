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
	"bytes"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/payload"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// errNoBase is wrapped by everything for which a difference cannot be taken: what it is a
// difference to is not held, or it was made wrong. The hub sends the object in full.
var errNoBase = errors.New("the difference does not fit")

// record makes what is to be stored of a Put. Its error is why that cannot be done, and
// wraps errNoBase or store.ErrCorrupt if it is not for good.
func (b *batch) record(put *pb.Put) (store.Record, error) {
	if put.GetEncoding() != pb.Encoding_ENCODING_ZSTD_DELTA {
		record := recordOf(put)
		return record, b.fill(&record, put, nil)
	}
	base, err := b.base(put)
	if err != nil {
		return store.Record{}, err
	}
	record := recordOf(put)
	record.UID, record.APIVersion, record.Resource = base.UID, base.APIVersion, base.Resource
	if err := b.fill(&record, put, base.Payload); err != nil {
		return store.Record{}, fmt.Errorf("%w: %w", errNoBase, err)
	}
	return record, nil
}

func recordOf(put *pb.Put) store.Record {
	return store.Record{
		Object: object.Object{
			Key:        protocol.KeyFromPB(put.GetKey()),
			APIVersion: put.GetApiVersion(),
			Resource:   put.GetResource(),
			UID:        put.GetUid(),
			Version:    put.GetVersion(),
		},
		Retain: put.GetRetain(),
	}
}

// base is what a difference is to: what the store holds of the key. What comes earlier in
// the batch is not in the store yet; the hub waits for the answer to it.
func (b *batch) base(put *pb.Put) (store.Entry, error) {
	key := protocol.KeyFromPB(put.GetKey())
	if b.keys[key] {
		return store.Entry{}, fmt.Errorf("%w: it comes right after another message about the object", errNoBase)
	}
	entry, exists, err := b.held(key)
	switch {
	case err != nil:
		return store.Entry{}, err
	case !exists || entry.State.Tombstone():
		return store.Entry{}, fmt.Errorf("%w: the object is not held", errNoBase)
	case !bytes.Equal(put.GetBase(), entry.Digest[:protocol.BaseBytes]):
		return store.Entry{}, fmt.Errorf("%w: other content is held", errNoBase)
	}
	return entry, nil
}

// fill decodes the payload into the record. Its error is why the object can never be
// stored here, whatever the retries.
func (b *batch) fill(record *store.Record, put *pb.Put, base []byte) error {
	content, err := payload.Decode(put.GetEncoding(), base, put.GetPayload(), b.maxObjectBytes)
	if errors.Is(err, payload.ErrTooLarge) {
		return fmt.Errorf("the object is too large for this agent (--max-object-bytes): %w", err)
	}
	if err != nil {
		return err
	}
	record.Payload = content
	return checkRecord(record)
}

// checkRecord compares what an object was announced as with what its payload says.
func checkRecord(record *store.Record) error {
	if record.UID == "" || record.Version == "" || record.Resource == "" {
		return errors.New("the object comes without uid, version or resource")
	}
	content, err := identify(record.Payload)
	if err != nil {
		return err
	}
	if content.apiVersion != record.APIVersion {
		return fmt.Errorf("the payload has apiVersion %q, it was announced with %q", content.apiVersion, record.APIVersion)
	}
	if content.key != record.Key {
		return fmt.Errorf("the payload is %s, it was announced as %s", content.key, record.Key)
	}
	return nil
}

type identified struct {
	apiVersion string
	key        object.Key
}

// identify reads what a payload says about itself. Field names count in their exact
// case, as for Kubernetes.
func identify(data []byte) (identified, error) {
	var content struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &content); err != nil {
		return identified{}, fmt.Errorf("the payload is not the JSON of an object: %w", err)
	}
	gv, err := schema.ParseGroupVersion(content.APIVersion)
	if err != nil {
		return identified{}, fmt.Errorf("the payload: %w", err)
	}
	return identified{
		apiVersion: content.APIVersion,
		key: object.Key{
			Group:     gv.Group,
			Kind:      content.Kind,
			Namespace: content.Metadata.Namespace,
			Name:      content.Metadata.Name,
		},
	}, nil
}
