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
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/object"
)

// phase is what waiting for a sync comes to.
type phase int

const (
	waiting phase = iota
	succeeded
	failed
)

// waitSynced waits until all connected nodes of the sync have what it names now.
func (p *plugin) waitSynced(ctx context.Context, c client.WithWatch, s sync, timeout time.Duration) error {
	if timeout < 0 {
		return fmt.Errorf("--timeout must not be negative: %s", timeout)
	}
	version, err := p.namedVersion(ctx, s)
	if err != nil {
		return err
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	said, ended := "", false
	err = followSync(limited, c, s, func(s sync, gone bool) (bool, error) {
		if gone {
			return true, fmt.Errorf("%s was deleted", s)
		}
		result, text := judge(s, version)
		if result == failed {
			return true, fmt.Errorf("%s is not synced: %s", s, text)
		}
		if text != said {
			fmt.Fprintf(p.streams.Out, "%s: %s\n", s, text)
			said = text
		}
		ended = result == succeeded
		return ended, nil
	})
	switch {
	case err != nil || ended:
		return err
	case ctx.Err() != nil:
		return errors.New("interrupted")
	default:
		return fmt.Errorf("%s is not synced after %s: %s", s, timeout, said)
	}
}

// namedVersion is the version of the object that the sync names, so that a status of
// before its last change is not taken for one of after it. It is empty when there is no
// such object, or the caller may not read it.
func (p *plugin) namedVersion(ctx context.Context, s sync) (string, error) {
	if s.spec.ObjectRef == nil {
		return "", nil
	}
	key := object.Key{Group: s.groupKind().Group, Kind: s.groupKind().Kind, Namespace: s.GetNamespace(), Name: s.spec.ObjectRef.Name}
	found, err := p.getMetadata(ctx, key)
	switch {
	case apierrors.IsForbidden(err):
		fmt.Fprintf(p.streams.ErrOut, "Warning: you may not read %s, so its last change may not have been counted yet\n", describe(key))
		return "", nil
	case isGone(err):
		return "", nil
	case err != nil:
		return "", err
	}
	return found.ResourceVersion, nil
}

// judge says what the status of a sync means to somebody who waits for version.
func judge(s sync, version string) (phase, string) {
	synced := s.synced()
	progress := fmt.Sprintf("%d of %d connected nodes are synced (%s)",
		s.status.Synced, s.status.Desired-s.status.Offline, synced.Reason)
	if s.spec.Rollout != nil && s.status.Rollout != nil && s.status.Rollout.Waiting > 0 {
		progress += ", " + rolloutProgress(s) + " have had their turn"
	}
	switch {
	case s.GetDeletionTimestamp() != nil:
		return failed, "it is being deleted"
	case s.status.ObservedGeneration < s.GetGeneration(), behind(s, version):
		return waiting, "the manager has not seen the last change yet"
	case s.stalled() != nil:
		return failed, s.stalled().Message
	case s.spec.Suspend:
		return failed, "it is suspended; go on with: kubectl edgesync rollout resume " + s.arguments()
	case synced.Reason == syncv1alpha1.ReasonSynced:
		if s.status.Offline > 0 {
			return succeeded, fmt.Sprintf("synced on %d nodes; %d are offline, and get it when they connect",
				s.status.Synced, s.status.Offline)
		}
		return succeeded, fmt.Sprintf("synced on %d nodes", s.status.Synced)
	case synced.Reason == syncv1alpha1.ReasonFailed:
		return failed, failuresText(s)
	case s.status.Desired == s.status.Offline:
		return waiting, synced.Message
	}
	return waiting, progress
}

// behind reports whether the status was made before the manager knew the version of the
// object. A manager that cannot read the object knows none, and says why.
func behind(s sync, version string) bool {
	known := s.status.ObjectResourceVersion
	if known == "" {
		return version != "" && s.stalled() == nil
	}
	return version != "" && object.Older(known, version)
}

func failuresText(s sync) string {
	if len(s.status.Failures) == 0 {
		return s.synced().Message
	}
	first := s.status.Failures[0]
	text := fmt.Sprintf("%d of %d nodes failed: %s on %s: %s", s.status.Failed, s.status.Desired, first.Object, first.Node, first.Reason)
	if first.Message != "" {
		text += ": " + first.Message
	}
	return text
}
