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

package main

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// identity is what the hub signs nodes with, what it proves itself with, and what it
// tells nodes about itself.
type identity struct {
	store     *castore.Store
	authority *pki.Authority
	serving   *pki.ServingCertificate
	addresses []string
}

func loadIdentity(ctx context.Context, c client.Client, o *options) (*identity, error) {
	store := &castore.Store{Client: c, Namespace: o.namespace, Hosts: o.hub.publicNames, Now: time.Now}
	loaded, err := store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("the hub's CA: %w", err)
	}
	authority := pki.NewAuthority(loaded.CA)
	authority.Set(loaded.Trust)
	serving, err := pki.NewServingCertificate(authority, o.hub.publicNames, pki.ServerLifetime, time.Now)
	if err != nil {
		return nil, fmt.Errorf("the hub's certificate (see --hub-public-names, and `manager ca show`): %w", err)
	}
	return &identity{store: store, authority: authority, serving: serving, addresses: o.hub.addresses}, nil
}

// watcher keeps the identity to what the Secrets say; changed is called when nodes have
// to be told.
func (i *identity) watcher(mgr ctrl.Manager, changed func()) *castore.Watcher {
	return &castore.Watcher{
		Store:     i.store,
		Authority: i.authority,
		Changed:   changed,
		Recorder:  mgr.GetEventRecorder("edgesync-ca"),
		Log:       mgr.GetLogger().WithName("ca"),
	}
}

// info is what nodes need to find and to trust the hub from now on.
func (i *identity) info() *pb.HubInfo {
	info := &pb.HubInfo{Addresses: i.addresses}
	for _, anchor := range i.authority.Anchors() {
		info.Authorities = append(info.Authorities, anchor.Raw)
	}
	return info
}

// completeAddresses refuses addresses that nodes could not use, and writes the others as
// nodes keep them, whose digest of what they know would otherwise never be the hub's.
func (o *hubOptions) completeAddresses() error {
	if n := len(o.addresses); n > protocol.MaxHubAddresses {
		return fmt.Errorf("--hub-addresses holds %d addresses, but agents take at most %d", n, protocol.MaxHubAddresses)
	}
	for i, address := range o.addresses {
		hub, err := joinapi.ParseHub(address)
		if err != nil {
			return fmt.Errorf("--hub-addresses: %w", err)
		}
		if !pki.Covers(o.publicNames, hub.Hostname()) {
			return fmt.Errorf("--hub-addresses names %s, for which the hub has no certificate: add it to --hub-public-names", hub.Hostname())
		}
		o.addresses[i] = hub.String()
	}
	return nil
}
