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

package protocol

import (
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func checkAgentMessage(message *pb.AgentMessage) error {
	switch body := message.GetBody().(type) {
	case *pb.AgentMessage_Hello:
		return checkHello(body.Hello)
	case *pb.AgentMessage_Inventory:
		return checkInventory(body.Inventory)
	case *pb.AgentMessage_Ack:
		return checkAck(body.Ack)
	case *pb.AgentMessage_Nack:
		return checkNack(body.Nack)
	case *pb.AgentMessage_Applied:
		return checkApplied(body.Applied)
	default:
		return malformed("a message of a kind that version %d does not know", Version)
	}
}

func checkHubMessage(message *pb.HubMessage) error {
	switch body := message.GetBody().(type) {
	case *pb.HubMessage_Welcome:
		return firstError(
			atMost("session", body.Welcome.GetSession(), maxOpaqueBytes),
			atMost("cluster epoch", body.Welcome.GetClusterEpoch(), maxOpaqueBytes))
	case *pb.HubMessage_Put:
		return checkPut(body.Put)
	case *pb.HubMessage_Delete:
		return checkDelete(body.Delete)
	case *pb.HubMessage_Drain:
		return atMost("redirect", body.Drain.GetRedirect(), maxRedirectBytes)
	case *pb.HubMessage_HubInfo:
		return checkHubInfo(body.HubInfo)
	case *pb.HubMessage_Bookmark:
		return checkView(body.Bookmark.GetView())
	case *pb.HubMessage_NeedInventory:
		return nil
	default:
		return malformed("a message of a kind that version %d does not know", Version)
	}
}

func checkHello(hello *pb.Hello) error {
	if n := len(hello.GetProtocolVersions()); n == 0 || n > maxVersions {
		return malformed("%d protocol versions", n)
	}
	if hello.GetInventoryCount() > MaxInventory {
		return malformed("an inventory of %d objects, more than %d", hello.GetInventoryCount(), MaxInventory)
	}
	if n := len(hello.GetEncodings()); n > maxEncodings {
		return malformed("%d encodings, more than %d", n, maxEncodings)
	}
	return firstError(
		atMost("agent version", hello.GetAgentVersion(), maxOpaqueBytes),
		atMost("boot id", hello.GetBootId(), maxOpaqueBytes),
		atMost("store epoch", hello.GetStoreEpoch(), maxOpaqueBytes),
		atMost("cluster epoch", hello.GetClusterEpoch(), maxOpaqueBytes),
		checkDigest(hello.GetInventoryDigest()),
		checkHubInfoDigest(hello.GetHubInfoDigest()),
		checkView(hello.GetView()),
		checkLabels(hello.GetLabels()))
}

func checkInventory(inventory *pb.Inventory) error {
	if n := len(inventory.GetEntries()); n > MaxEntries {
		return malformed("%d inventory entries in one message, more than %d", n, MaxEntries)
	}
	for _, entry := range inventory.GetEntries() {
		if err := firstError(
			checkKey(entry.GetKey()),
			atMost("uid", entry.GetUid(), maxOpaqueBytes),
			atMost("version", entry.GetVersion(), maxOpaqueBytes),
			checkDigest(entry.GetDigest()),
			checkHeldState(entry.GetState()),
			atMost("message", entry.GetMessage(), MaxMessageBytes)); err != nil {
			return err
		}
	}
	return nil
}

func checkAck(ack *pb.Ack) error {
	return checkRanges(ack.GetRanges())
}

func checkRanges(ranges []*pb.SequenceRange) error {
	if n := len(ranges); n > MaxEntries {
		return malformed("%d ranges in one message, more than %d", n, MaxEntries)
	}
	for _, r := range ranges {
		if r.GetFirst() > r.GetLast() {
			return malformed("a range from %d to %d", r.GetFirst(), r.GetLast())
		}
	}
	return nil
}

func checkNack(nack *pb.Nack) error {
	switch nack.GetCode() {
	case pb.NackCode_NACK_CODE_RETRY, pb.NackCode_NACK_CODE_REJECT, pb.NackCode_NACK_CODE_NO_BASE:
	case pb.NackCode_NACK_CODE_STALE:
		if err := checkDigest(nack.GetHeldDigest()); err != nil {
			return err
		}
	default:
		return malformed("nack code %d", nack.GetCode())
	}
	return firstError(
		atMost("message", nack.GetMessage(), MaxMessageBytes),
		atMost("uid", nack.GetHeldUid(), maxOpaqueBytes),
		atMost("version", nack.GetHeldVersion(), maxOpaqueBytes))
}

func checkApplied(applied *pb.Applied) error {
	if n := len(applied.GetResults()); n > MaxEntries {
		return malformed("%d results in one message, more than %d", n, MaxEntries)
	}
	for _, result := range applied.GetResults() {
		if err := firstError(
			checkKey(result.GetKey()),
			atMost("uid", result.GetUid(), maxOpaqueBytes),
			checkDigest(result.GetDigest()),
			checkState(result.GetState()),
			atMost("message", result.GetMessage(), MaxMessageBytes)); err != nil {
			return err
		}
	}
	return checkRanges(applied.GetDone())
}

func checkPut(put *pb.Put) error {
	if err := checkEncoding(put); err != nil {
		return err
	}
	if n := len(put.GetPayload()); n > MaxObjectBytes {
		return malformed("a payload of %d bytes, more than %d", n, MaxObjectBytes)
	}
	return firstError(
		checkKey(put.GetKey()),
		atMost("uid", put.GetUid(), maxOpaqueBytes),
		atMost("version", put.GetVersion(), maxOpaqueBytes),
		atMost("apiVersion", put.GetApiVersion(), maxAPIVersionBytes),
		atMost("resource", put.GetResource(), maxNameBytes))
}

// checkEncoding also checks that a difference names its base, and leaves out what the
// object that is the base says.
func checkEncoding(put *pb.Put) error {
	base := len(put.GetBase())
	switch put.GetEncoding() {
	case pb.Encoding_ENCODING_JSON, pb.Encoding_ENCODING_ZSTD:
		if base != 0 {
			return malformed("a base of %d bytes for encoding %d", base, put.GetEncoding())
		}
	case pb.Encoding_ENCODING_ZSTD_DELTA:
		if base != BaseBytes {
			return malformed("a base of %d bytes, not %d", base, BaseBytes)
		}
		if put.GetUid() != "" || put.GetApiVersion() != "" || put.GetResource() != "" {
			return malformed("a difference with uid, apiVersion or resource")
		}
	default:
		return malformed("encoding %d", put.GetEncoding())
	}
	return nil
}

func checkDelete(message *pb.Delete) error {
	return firstError(
		checkKey(message.GetKey()),
		atMost("uid", message.GetUid(), maxOpaqueBytes),
		atMost("version", message.GetAsOf(), maxOpaqueBytes))
}

func checkView(view []byte) error {
	if n := len(view); n > MaxViewBytes {
		return malformed("a view of %d bytes, more than %d", n, MaxViewBytes)
	}
	return nil
}

func checkKey(key *pb.ObjectKey) error {
	if key.GetKind() == "" || key.GetName() == "" {
		return malformed("an object without kind or name")
	}
	return firstError(
		atMost("group", key.GetGroup(), maxGroupBytes),
		atMost("kind", key.GetKind(), maxKindBytes),
		atMost("namespace", key.GetNamespace(), maxNameBytes),
		atMost("name", key.GetName(), maxNameBytes))
}

func checkState(state pb.ApplyState) error {
	if state <= pb.ApplyState_APPLY_STATE_UNSPECIFIED || state > pb.ApplyState_APPLY_STATE_PROGRESSING {
		return malformed("apply state %d", state)
	}
	return nil
}

// checkHeldState refuses what says that nothing is left of an object.
func checkHeldState(state pb.ApplyState) error {
	if state == pb.ApplyState_APPLY_STATE_REMOVED {
		return malformed("apply state %d", state)
	}
	return checkState(state)
}

func checkDigest(digest []byte) error {
	if len(digest) != object.DigestSize {
		return malformed("a digest of %d bytes", len(digest))
	}
	return nil
}

func atMost(field, value string, most int) error {
	if len(value) > most {
		return malformed("%s of %d bytes, more than %d", field, len(value), most)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
