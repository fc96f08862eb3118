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

package identity

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// Announced is the identity with what the hub announces of itself in a connection in
// which it has presented the chain, leaf first: all of it, or an error. It returns i if
// there is nothing new.
func (i *Identity) Announced(info *pb.HubInfo, chain []*x509.Certificate, now time.Time) (*Identity, error) {
	next := *i
	var err error
	if next.announced, err = parseHubs(info.GetAddresses()); err != nil {
		return nil, err
	}
	if next.cas, err = parseAuthorities(info.GetAuthorities()); err != nil {
		return nil, err
	}
	if next.HubInfoDigest() == i.HubInfoDigest() {
		return i, nil
	}
	if err := vouch(next.cas, chain, now); err != nil {
		return nil, err
	}
	return &next, nil
}

func parseHubs(addresses []string) ([]*url.URL, error) {
	if len(addresses) > protocol.MaxHubAddresses {
		return nil, fmt.Errorf("%d addresses are more than %d", len(addresses), protocol.MaxHubAddresses)
	}
	var hubs []*url.URL
	for _, address := range addresses {
		hub, err := joinapi.ParseHub(address)
		if err != nil {
			return nil, err
		}
		hubs = append(hubs, hub)
	}
	return hubs, nil
}

func parseAuthorities(authorities [][]byte) ([]*x509.Certificate, error) {
	var cas []*x509.Certificate
	for _, der := range authorities {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("a CA certificate: %w", err)
		}
		cas = append(cas, ca)
	}
	return cas, checkCAs(cas)
}
