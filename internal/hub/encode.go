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

package hub

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// payloadCacheBytes bounds the forms in which objects travel, and the former payloads to
// which differences are made.
const payloadCacheBytes = 64 << 20

func (s *session) encode(messages []delivery.Message) []*pb.HubMessage {
	frame := make([]*pb.HubMessage, 0, len(messages))
	for _, message := range messages {
		frame = append(frame, s.messageToPB(message))
	}
	return frame
}

// encoded tells the delivery how many bytes the objects of a frame have become.
func (s *session) encoded(frame []*pb.HubMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, message := range frame {
		if put := message.GetPut(); put != nil {
			s.node.Encoded(now, put.GetSequence(), proto.Size(message))
		}
	}
}

func (s *session) messageToPB(message delivery.Message) *pb.HubMessage {
	switch m := message.(type) {
	case delivery.Put:
		return &pb.HubMessage{Body: &pb.HubMessage_Put{Put: s.putToPB(m)}}
	case delivery.Delete:
		deletes.Inc()
		return &pb.HubMessage{Body: &pb.HubMessage_Delete{Delete: &pb.Delete{
			Sequence: m.Sequence, Key: protocol.KeyToPB(m.Key), Uid: m.UID, Release: m.Release, AsOf: m.AsOf,
		}}}
	case delivery.Bookmark:
		return &pb.HubMessage{Body: &pb.HubMessage_Bookmark{Bookmark: s.bookmark(m)}}
	default:
		panic(fmt.Sprintf("the delivery gave a %T", message))
	}
}

// bookmark names the view unless it is the one that it has named last.
func (s *session) bookmark(m delivery.Bookmark) *pb.Bookmark {
	bookmark := &pb.Bookmark{Nacks: m.Nacks}
	if !bytes.Equal(s.view, s.viewed) {
		bookmark.View, s.viewed = s.view, s.view
	}
	return bookmark
}

// putToPB gives an object the smallest form that the node understands.
func (s *session) putToPB(m delivery.Put) *pb.Put {
	put := &pb.Put{
		Sequence: m.Sequence, Key: protocol.KeyToPB(m.Object.Key), Version: m.Object.Version, Force: m.Force, Retain: m.Retain,
	}
	if difference, ok := s.difference(m); ok {
		put.Encoding, put.Payload = pb.Encoding_ENCODING_ZSTD_DELTA, difference
		put.Base = m.Base[:protocol.BaseBytes]
	} else {
		put.Encoding, put.Payload = s.full(m.Object)
		put.Uid, put.ApiVersion, put.Resource = m.Object.UID, m.Object.APIVersion, m.Object.Resource
	}
	countPut(m.Object, put)
	return put
}

func (s *session) difference(m delivery.Put) ([]byte, bool) {
	if !s.encodings.difference || m.Base == (object.Digest{}) {
		return nil, false
	}
	return s.hub.payloads.Delta(m.Base, m.Object)
}

func (s *session) full(o *object.Object) (pb.Encoding, []byte) {
	if !s.encodings.compressed {
		return pb.Encoding_ENCODING_JSON, o.Payload
	}
	return s.hub.payloads.Full(o)
}
