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

// Package apply makes what the store holds true on the machine: an Engine takes the
// records to the targets, a directory or a Kubernetes API server, tries again what
// failed, and repairs what others have changed. It needs no link to the hub.
package apply

import (
	"context"
	"errors"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

// Target is a place where objects are put. It is called concurrently, but never at
// the same time for two records of one key.
type Target interface {
	// Name is how the configuration, messages and logs call the target.
	Name() string
	// Apply makes the target hold the record and reports whether it had to change
	// anything for that. It may be called again for what is there already. An error that
	// is ErrProgressing or ErrUnhealthy is about what it has applied.
	Apply(ctx context.Context, entry *store.Entry) (changed bool, err error)
	// Remove takes away what Apply put there for the record, of which the payload is
	// no longer known. That it is gone already is no error.
	Remove(ctx context.Context, entry *store.Entry) error
}

// HealthTarget is a target that knows whether what it holds does what it is for. Of what
// any other target holds nothing more is expected once it is applied.
type HealthTarget interface {
	Target
	// Health looks at what Apply has put there and returns ErrProgressing, ErrUnhealthy or
	// nil. It is cheaper than Apply; what is gone meanwhile it applies again.
	Health(ctx context.Context, entry *store.Entry) error
}

// Every error of a target is tried again later, except one that is ErrInvalid.
var (
	// ErrInvalid: the record can never be applied here. It is not tried again until
	// it changes or the agent starts anew.
	ErrInvalid = errors.New("cannot be applied here")
	// ErrWaiting: nothing has failed, but something has to happen first.
	ErrWaiting = errors.New("waiting")
	// ErrProgressing: it is applied, and not healthy yet.
	ErrProgressing = errors.New("not healthy yet")
	// ErrUnhealthy: it is applied, and does not become healthy as it is.
	ErrUnhealthy = errors.New("not healthy")
)

func aboutHealth(err error) bool {
	return errors.Is(err, ErrProgressing) || errors.Is(err, ErrUnhealthy)
}
