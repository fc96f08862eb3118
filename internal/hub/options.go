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
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Observer is told what the sessions come to. Its methods are called often and must
// not block.
type Observer interface {
	// OnNodeEvent: the node has connected or disconnected.
	OnNodeEvent(node string)
	// OnProgress: the progress of the keys on the node may have changed.
	OnProgress(node string, keys []object.Key)
}

// Options are what a Hub needs; all are required but those with a default.
type Options struct {
	Index    *desired.Index
	Observer Observer
	// Admit decides whether the bearer of a certificate may have a session: nil, a
	// *Refusal, or another error, which the node does not get to see. It is asked for each
	// connection, again once its Hello has come, and by Readmit.
	Admit func(ctx context.Context, peer pki.Peer) error
	// Info is what nodes are to know of the hub, which changes only before Announce is
	// called. It must keep to the limits of the protocol, is called often, and must not block.
	Info func() *pb.HubInfo
	// Current asks the API server itself for the resource version at which it is. It is asked
	// at most once a second. By default no node has seen too much: see docs/adr/0006.
	Current func(ctx context.Context) (version string, err error)
	// ClusterEpoch identifies the cluster, whose resource versions are comparable.
	ClusterEpoch string
	Log          logr.Logger

	// MaxNodes bounds the nodes that are connected at once; default 20,000.
	MaxNodes int
	// Heartbeat is how often agents ping; a node that is silent for two and a half
	// is given up. Default 20 s.
	Heartbeat time.Duration
	// Delivery bounds what is under way to one node. MaxObjectBytes is what nodes get
	// at most, whatever they declare.
	Delivery delivery.Config
	// DrainTimeout bounds how long a shutdown waits for the nodes to go. Default 20 s.
	DrainTimeout time.Duration
}

func (o *Options) setDefaults() error {
	if o.Index == nil || o.Observer == nil || o.Admit == nil || o.Info == nil || o.ClusterEpoch == "" {
		return errors.New("the hub needs an index, an observer, an admission, an info and a cluster epoch")
	}
	if o.Current == nil {
		o.Current = func(context.Context) (string, error) { return "", errors.New("nobody can be asked") }
	}
	setDefault(&o.MaxNodes, 20_000)
	setDefault(&o.Heartbeat, 20*time.Second)
	setDefault(&o.DrainTimeout, 20*time.Second)
	setDefault(&o.Delivery.WindowMessages, 4096)
	setDefault(&o.Delivery.WindowBytes, 4<<20)
	setDefault(&o.Delivery.MaxObjectBytes, protocol.MaxObjectBytes)
	setDefault(&o.Delivery.RetryBase, time.Second)
	setDefault(&o.Delivery.RetryMax, 5*time.Minute)
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
