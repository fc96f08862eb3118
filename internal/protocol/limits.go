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

// Package protocol is the wire between the agents and the hub: limits, encoding,
// and the check that a peer's messages keep to the limits. It is pure.
// docs/protocol.md describes how the messages are used.
package protocol

// Version is the protocol version that this code speaks.
const Version = 1

// SyncPath is the path under which a hub serves the protocol.
const SyncPath = "/v1/sync"

// Subprotocol is the WebSocket subprotocol of SyncPath.
const Subprotocol = "edgesync.v1"

// Limits. A frame or message beyond one is an error of the peer, and ends the session.
const (
	// MaxAgentFrameBytes bounds one WebSocket message from an agent.
	MaxAgentFrameBytes = 256 << 10
	// MaxObjectBytes is the largest payload that can travel: the API server takes
	// requests of up to 3 MiB. An agent may accept less.
	MaxObjectBytes = 4 << 20
	// MaxHubFrameBytes bounds one WebSocket message from the hub: one object of the
	// largest size, or a batch of smaller ones.
	MaxHubFrameBytes = MaxObjectBytes + 64<<10

	// MaxFrameMessages bounds the messages in one frame.
	MaxFrameMessages = 4096
	// MaxEntries bounds the entries of one Inventory or Applied, and the ranges of one Ack
	// or Applied.
	MaxEntries = 4096
	// MaxInventory bounds the entries of all Inventories of one session.
	MaxInventory = 100_000
	// MaxInventoryBytes bounds the frames of all Inventories of one session together:
	// 100,000 objects with names of common length have a third of it.
	MaxInventoryBytes = 32 << 20
	// MaxMessageBytes bounds a human-readable message.
	MaxMessageBytes = 1024
	// MaxViewBytes bounds the view of a Bookmark or Hello.
	MaxViewBytes = 256
	// BaseBytes is how many of the bytes of a digest name the base of a difference.
	BaseBytes = 4

	maxGroupBytes      = 253
	maxKindBytes       = 63
	maxNameBytes       = 253
	maxAPIVersionBytes = maxGroupBytes + 1 + maxKindBytes
	maxOpaqueBytes     = 128
	maxVersions        = 16
	maxEncodings       = 16
	maxRedirectBytes   = 1024
)

// WebSocket close codes of the private range, with which the hub says why it ends a session.
const (
	// CloseSuperseded: the node has opened a newer session. Not retried at once by
	// the agent, since two agents with one identity would otherwise take turns for ever.
	CloseSuperseded = 4001
	// CloseRefused: the node may not connect; the reason says why.
	CloseRefused = 4002
	// CloseProtocol: the agent broke the protocol.
	CloseProtocol = 4003
	// CloseDraining: the hub is shutting down.
	CloseDraining = 4004
)
