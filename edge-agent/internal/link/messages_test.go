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
	"encoding/json"
	"net"
	"os"
	"strings"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// configMap is an object whose uid is made from its name.
func configMap(name, version string) *object.Object {
	payload, err := json.Marshal(map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata":   map[string]any{"name": name, "namespace": "shop"},
		"data":       map[string]string{"version": version},
	})
	if err != nil {
		panic(err)
	}
	return &object.Object{
		Key:        object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name},
		APIVersion: "v1",
		Resource:   "configmaps",
		UID:        "uid-" + name,
		Version:    version,
		Digest:     object.DigestOf(payload),
		Payload:    payload,
	}
}

func put(sequence uint64, o *object.Object) *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Put{Put: &pb.Put{
		Sequence:   sequence,
		Key:        protocol.KeyToPB(o.Key),
		Uid:        o.UID,
		Version:    o.Version,
		ApiVersion: o.APIVersion,
		Resource:   o.Resource,
		Encoding:   pb.Encoding_ENCODING_JSON,
		Payload:    o.Payload,
	}}}
}

func del(sequence uint64, o *object.Object) *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Delete{Delete: &pb.Delete{
		Sequence: sequence, Key: protocol.KeyToPB(o.Key), Uid: o.UID,
	}}}
}

func welcome() *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Welcome{Welcome: &pb.Welcome{
		ProtocolVersion: protocol.Version, Session: "s-1", ClusterEpoch: "cluster-1", HeartbeatSeconds: 20,
	}}}
}

func needInventory() *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_NeedInventory{NeedInventory: &pb.NeedInventory{}}}
}

func bookmark() *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Bookmark{Bookmark: &pb.Bookmark{}}}
}

// hubInfo has an authority that is told from others by name.
func hubInfo(name string) *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_HubInfo{HubInfo: &pb.HubInfo{
		Addresses: []string{"https://a:1"}, Authorities: [][]byte{[]byte(name)},
	}}}
}

func drainTo(redirect string) *pb.HubMessage {
	return &pb.HubMessage{Body: &pb.HubMessage_Drain{Drain: &pb.Drain{Redirect: redirect}}}
}

func result(name string, state pb.ApplyState) *pb.ApplyResult {
	o := configMap(name, "1")
	return &pb.ApplyResult{Key: protocol.KeyToPB(o.Key), Uid: o.UID, Digest: o.Digest[:], State: state}
}

func readTimeout(localPort int) error {
	return &net.OpError{
		Op:     "read",
		Net:    "tcp",
		Source: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: localPort},
		Addr:   &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443},
		Err:    os.ErrDeadlineExceeded,
	}
}

func long(n int) string { return strings.Repeat("x", n) }
