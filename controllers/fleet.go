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

// Package controllers holds the reconcilers of ObjectSync, ClusterObjectSync and
// EdgeNode. They say in the index what every node should hold, and sum up in status
// what has become of it. They know Kubernetes and nothing of sockets: what they need
// of the sessions with the nodes is the Fleet.
package controllers

import (
	"time"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
)

// Fleet is what the reconcilers need to know of the sessions that this manager has
// with nodes. Its methods are called concurrently, often, and must not block.
type Fleet interface {
	// Progress reports the worst progress of a node among keys, and what fails among
	// them. connected is false while the node has no session. Changes of the index
	// that were made before the call count: a key that the session has not looked up
	// again since then is at best delivery.InProgress.
	Progress(node string, keys []object.Key) (worst delivery.Progress, failures []delivery.Failure, connected bool)
	// Node reports the session of a node; false while it has none.
	Node(node string) (NodeState, bool)
	// Rushed reports whether many nodes connect at the moment, so that what can wait should.
	Rushed() bool
	// Waiting names what a node still holds until its turn in a rollout comes, although nothing
	// wants it there. It takes time proportional to what the node holds.
	Waiting(node string) []object.Key
	// End ends a session of a node, if it still has it, because the node has a newer one with
	// another replica.
	End(node, sessionID string)
}

// NodeState is a session and what it knows of its node.
type NodeState struct {
	// Peer is whom the certificate that opened the session was issued to.
	Peer          pki.Node
	SessionID     string
	ConnectedTime time.Time
	RemoteAddress string
	AgentVersion  string
	BootID        string
	// Labels are what the node says of itself, as it says it.
	Labels map[string]string
	// Contenders are the remote addresses of the last machines that have taken the
	// session from each other, if several fight for it.
	Contenders []string
	Summary    delivery.Summary
}
