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

package castore

import (
	"context"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"

	"github.com/edgesync/edgesync/internal/pki"
)

const (
	// pollInterval is how long a change of a Secret may go unnoticed. Reading two Secrets
	// now and then needs neither the right to list nor a watch.
	pollInterval = 30 * time.Second
	pollTimeout  = 20 * time.Second
	// nudgeInterval is how often strangers can cause another look.
	nudgeInterval = time.Second

	maxNoteBytes = 1024 // that the API server accepts
)

// Watcher keeps an Authority to what the Secrets say. It is a manager Runnable that
// runs in every replica.
type Watcher struct {
	Store     *Store
	Authority *pki.Authority
	// Changed is called after the Authority has been given another Trust.
	Changed func()
	// Recorder and Log tell the administrator of a CA that is not used, and why.
	Recorder events.EventRecorder
	Log      logr.Logger

	reported string
}

// NeedLeaderElection is false: every replica signs, and is to trust the same CAs.
func (*Watcher) NeedLeaderElection() bool { return false }

// Start polls until ctx is done; sooner when somebody shows a certificate of a CA that is
// not known: the replica that signed it may have heard of a new one before this one has.
func (w *Watcher) Start(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		w.poll(ctx)
		// Strangers wait until some time has passed.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(nudgeInterval):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-w.Authority.Stranger():
		}
	}
}

func (w *Watcher) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	loaded, err := w.Store.Load(ctx)
	if err != nil {
		w.report(err, "CAUnreadable")
		return
	}
	if before := w.Authority.Trust(); !loaded.Equal(before) {
		w.Authority.Set(loaded.Trust)
		w.Log.Info("The CA has changed", "ca", loaded.CA.Hash(), "before", before.CA.Hash(), "trusted", len(loaded.Anchors()))
		w.Changed()
	}
	expiry.Set(float64(loaded.CA.Certificate().NotAfter.Unix()))
	refused.Set(0)
	if loaded.Refused != nil {
		refused.Set(1)
	}
	w.report(loaded.Refused, "CARefused")
}

// report tells of a problem: in the log once, and as an Event again and again, because
// Events do not last. The recorder counts those that are the same.
func (w *Watcher) report(problem error, reason string) {
	if problem == nil {
		w.reported = ""
		return
	}
	if w.reported != problem.Error() {
		w.reported = problem.Error()
		w.Log.Error(problem, "Going on with the CA in use", "ca", w.Authority.Trust().CA.Hash())
	}
	note := problem.Error()
	if len(note) > maxNoteBytes {
		note = strings.ToValidUTF8(note[:maxNoteBytes], "")
	}
	// A reference and not the Secret, so that nothing of it gets near the recorder.
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: w.Store.Namespace, Name: SecretName}
	w.Recorder.Eventf(about, nil, corev1.EventTypeWarning, reason, "LoadCA", "%s", note)
}
