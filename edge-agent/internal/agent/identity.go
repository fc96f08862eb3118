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

package agent

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// openIdentity opens the identity of a state directory that nobody else can get at.
func openIdentity(stateDir, sealKeyFile string) (*identity.Keeper, error) {
	if err := identity.CheckStateDir(stateDir, storeFile); err != nil {
		return nil, err
	}
	seal, err := identity.FindSealKey(sealKeyFile, os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return nil, err
	}
	return identity.Open(stateDir, seal)
}

func (a *agent) newRenewer() *renewer {
	return &renewer{
		keeper:   a.identity,
		hubs:     a.hubs,
		renewed:  a.moveOver,
		log:      a.log.WithName("renewal"),
		now:      time.Now,
		wait:     wait,
		schedule: schedule{random: rand.Float64},
	}
}

// hubs are the addresses of the hub, the preferred first.
func (a *agent) hubs() []string {
	if a.hub != "" {
		return []string{a.hub}
	}
	return a.identity.Current().Hubs()
}

// tlsConfig reads the identity anew, so that one that was renewed is used from the
// next connection on.
func (a *agent) tlsConfig() (*tls.Config, error) {
	current, err := a.identity.Load()
	if err != nil {
		return nil, err
	}
	if err := a.renewer.expired(current); err != nil {
		return nil, err
	}
	a.presented.Store(current)
	return current.TLSConfig(), nil
}

// moveOver has the session go on with the renewed certificate, unless it began with it.
func (a *agent) moveOver(renewed *identity.Identity) {
	if presented := a.presented.Load(); presented == nil || !presented.SameCertificate(renewed) {
		a.link.Reconnect()
	}
}

// hubInfo keeps what the hub announces of itself in a connection.
func (a *agent) hubInfo(info *pb.HubInfo, connection tls.ConnectionState) error {
	err := a.identity.Update(func(stored *identity.Identity) (*identity.Identity, error) {
		next, err := stored.Announced(info, connection.PeerCertificates, time.Now())
		if err != nil {
			err = fmt.Errorf("it cannot be used: %w", err)
		}
		return next, err
	})
	if err != nil {
		return fmt.Errorf("keep what the hub announces of itself: %w", err)
	}
	a.log.Info("The hub has announced itself", "addresses", info.GetAddresses(), "authorities", len(info.GetAuthorities()))
	return nil
}
