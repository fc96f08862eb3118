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
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
)

// checkInterval is how often the renewal looks at the clock of the machine, which may
// be set at any time, and at the identity file, which a join may replace.
const checkInterval = time.Minute

// Renewal says how the renewal of the certificate stands.
type Renewal struct {
	// Next is when it is tried next.
	Next time.Time `json:"next,omitzero"`
	// Error is why the last attempt has failed; empty when none has since the certificate
	// was issued. Refused says that the hub will not renew it before somebody has done
	// there what Error says.
	Error   string `json:"error,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// renewer renews the certificate for as long as it runs.
type renewer struct {
	keeper *identity.Keeper
	hubs   func() []string
	// renewed is called when a new certificate is in place.
	renewed func(*identity.Identity)
	log     logr.Logger
	now     func() time.Time
	// wait waits for that long at most; it returns false when ctx is done.
	wait func(ctx context.Context, d time.Duration) bool

	schedule schedule

	mu     sync.Mutex
	status Renewal
}

// run checks whether the certificate is due until ctx is done. No error stops it.
func (r *renewer) run(ctx context.Context) error {
	for r.wait(ctx, r.check(ctx)) {
	}
	return nil
}

// wait waits for that long, or until ctx is done: then it returns false.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// check renews the certificate if that is due, and returns after how long to check
// again.
func (r *renewer) check(ctx context.Context) time.Duration {
	present, err := r.keeper.Load()
	if err != nil {
		r.report(Renewal{Next: r.now().Add(checkInterval), Error: err.Error()})
		return checkInterval
	}
	r.schedule.observe(present, r.now())
	if !r.now().Before(r.schedule.due) {
		r.renew(ctx, present)
	}
	r.report(r.schedule.status())
	return min(max(r.schedule.due.Sub(r.now()), 0), checkInterval)
}

// renew makes one attempt.
func (r *renewer) renew(ctx context.Context, present *identity.Identity) {
	next, err := identity.Renew(ctx, present, r.hubs(), r.now)
	if err == nil {
		err = r.keeper.Replace(present, next)
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, identity.ErrReplaced):
	case err != nil:
		r.schedule.failed(err, r.now())
	default:
		r.schedule.observe(next, r.now())
		r.log.Info("Renewed the certificate", "notAfter", next.NotAfter(), "next", r.schedule.due)
		r.renewed(next)
	}
}

// report makes status what Status returns, and logs an error that is a new one.
func (r *renewer) report(status Renewal) {
	r.mu.Lock()
	repeated := r.status.Error == status.Error
	r.status = status
	r.mu.Unlock()
	if status.Error != "" && !repeated {
		r.log.Error(nil, "Cannot renew the certificate", "reason", status.Error, "nextAttempt", status.Next)
	}
}

// Status may be called concurrently.
func (r *renewer) Status() Renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// expired is why an identity cannot be used for a session, if it cannot.
func (r *renewer) expired(current *identity.Identity) error {
	if !r.now().After(current.NotAfter()) {
		return nil
	}
	reason := "it is being renewed"
	if failed := r.Status().Error; failed != "" {
		reason = "and cannot be renewed: " + failed
	}
	return fmt.Errorf("the certificate expired at %s by the clock of this machine, %s",
		current.NotAfter().Format(time.RFC3339), reason)
}
