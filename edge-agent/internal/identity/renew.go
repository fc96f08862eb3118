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
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
)

// Renew has the hub certify a new key for the node of present, whose certificate may
// have expired, and returns the identity that takes its place. It tries the addresses
// in order until one answers with a certificate or refuses to (HubError.Refused).
// Nothing is written: Keeper.Update does.
func Renew(ctx context.Context, present *Identity, hubs []string, now func() time.Time) (*Identity, error) {
	failed := errors.New("there is no address of a hub")
	for n, address := range hubs {
		renewed, err := renewAt(ctx, present, address, now)
		var answered *HubError
		switch {
		case err == nil:
			return renewed, nil
		case errors.As(err, &answered) && answered.Refused(), ctx.Err() != nil:
			return nil, err
		case n == 0:
			failed = err
		default:
			failed = fmt.Errorf("%w; %w", failed, err)
		}
	}
	return nil, failed
}

func renewAt(ctx context.Context, present *Identity, address string, now func() time.Time) (*Identity, error) {
	hub, err := joinapi.ParseHub(address)
	if err != nil {
		return nil, err
	}
	key, request, err := newKey()
	if err != nil {
		return nil, err
	}
	answer, err := exchange(ctx, hub, joinapi.RenewPath, present.TLSConfig(), joinapi.RenewRequest{CSR: request})
	if err != nil {
		return nil, err
	}
	renewed, err := accept(answer, key, now())
	if err == nil && renewed.node != present.node {
		err = fmt.Errorf("the certificate is for %+v instead of %+v", renewed.node, present.node)
	}
	if err != nil {
		return nil, fmt.Errorf("the hub at %s answered with an identity that cannot be right: %w", hub.Host, err)
	}
	renewed.joined, renewed.announced = present.joined, present.announced
	return renewed, nil
}

// ErrReplaced says that another identity, such as that of a join, has taken the place of
// the one to be replaced.
var ErrReplaced = errors.New("the identity has been replaced meanwhile")

// Replace keeps renewed in place of present, from which it was made, unless that is no
// longer the one in the file.
func (k *Keeper) Replace(present, renewed *Identity) error {
	return k.Update(func(stored *Identity) (*Identity, error) {
		if !stored.SameCertificate(present) {
			return nil, ErrReplaced
		}
		next := *renewed
		next.joined, next.announced = stored.joined, stored.announced
		return &next, nil
	})
}
