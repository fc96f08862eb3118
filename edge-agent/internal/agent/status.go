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
	"io/fs"
	"path/filepath"
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/edge-agent/internal/link"
	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/version"
)

// maxProblems bounds the objects that a Status lists.
const maxProblems = 20

// Status says where an agent stands.
type Status struct {
	Node string `json:"node"`
	// Running says that the agent runs. If not, the rest is what its files say.
	Running bool        `json:"running"`
	Link    link.Status `json:"link"`
	// InSync says that the agent is connected, that the hub has sent all that the node
	// should hold, and that every target holds just that.
	InSync  bool   `json:"inSync"`
	Objects Counts `json:"objects"`
	// Problems are the first objects that are not as they should be; FurtherProblems
	// counts the others.
	Problems           []Problem `json:"problems,omitempty"`
	FurtherProblems    int       `json:"furtherProblems,omitempty"`
	CertificateExpires time.Time `json:"certificateExpires"`
	// Renewal is that of the certificate, while the agent runs.
	Renewal Renewal `json:"renewal,omitzero"`
	// Version is that of the running agent, or of the program that looks at its files.
	Version string `json:"version"`
}

// Counts are numbers of objects by state.
type Counts struct {
	// Held are the objects in the store: those that are Applied, Progressing, Pending or
	// Failed.
	Held    int `json:"held"`
	Applied int `json:"applied"`
	// Progressing are those that are applied and not healthy yet.
	Progressing int `json:"progressing,omitempty"`
	Pending     int `json:"pending"`
	Failed      int `json:"failed"`
	Removing    int `json:"removing"`
}

// Problem is an object that is not as it should be.
type Problem struct {
	Object  string    `json:"object"`
	State   string    `json:"state"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since"`
}

// ReadStatus asks the agent of a state directory, or looks at its files if none runs.
func ReadStatus(ctx context.Context, stateDir string) (Status, error) {
	status, err := ask(ctx, stateDir)
	if errors.Is(err, errNotRunning) {
		return readFiles(stateDir)
	}
	return status, err
}

// status is the status of a running agent.
func (a *agent) status() (Status, error) {
	current := a.identity.Current()
	status := Status{
		Node:               current.Node(),
		Running:            true,
		Link:               a.link.Status(),
		CertificateExpires: current.NotAfter(),
		Renewal:            a.renewer.Status(),
		Version:            version.Version,
	}
	if err := status.addObjects(a.store); err != nil {
		return Status{}, err
	}
	status.InSync = status.Link.Connected && status.Link.Complete && len(status.Problems) == 0
	return status, status.addNotes(a.store)
}

// readFiles is the status of an agent that does not run.
func readFiles(stateDir string) (Status, error) {
	joined, err := identity.Load(stateDir)
	if err != nil {
		return Status{}, err
	}
	status := Status{
		Node:               joined.Node(),
		Link:               link.Status{Hub: joined.Hubs()[0]},
		CertificateExpires: joined.NotAfter(),
		Version:            version.Version,
	}
	opened, err := store.Open(filepath.Join(stateDir, storeFile), store.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return status, nil
	}
	if errors.Is(err, store.ErrLocked) {
		return Status{}, fmt.Errorf("an agent seems to run, but gives no status: %w", err)
	}
	if err != nil {
		return Status{}, err
	}
	defer func() { _ = opened.Close() }()
	return status, errors.Join(status.addObjects(opened), status.addNotes(opened))
}

func (s *Status) addObjects(from *store.Store) error {
	return from.ForEach(func(entry store.Entry) error {
		s.Objects.add(entry.State)
		switch {
		case entry.State == store.Applied:
		case len(s.Problems) == maxProblems:
			s.FurtherProblems++
		default:
			s.Problems = append(s.Problems, Problem{
				Object:  entry.Key.String(),
				State:   entry.State.String(),
				Message: entry.Message,
				Since:   entry.Since,
			})
		}
		return nil
	})
}

func (c *Counts) add(state store.State) {
	if state.Tombstone() {
		c.Removing++
		return
	}
	c.Held++
	switch state {
	case store.Applied:
		c.Applied++
	case store.Progressing:
		c.Progressing++
	case store.Failed:
		c.Failed++
	default:
		c.Pending++
	}
}

// addNotes adds what an earlier process has noted down.
func (s *Status) addNotes(from *store.Store) error {
	if !s.Link.CompletedAt.IsZero() {
		return nil
	}
	var err error
	s.Link.CompletedAt, err = lastSync(from)
	return err
}

// lastSync is when the hub had last sent everything, as an earlier process has noted it
// down; zero if none has.
func lastSync(from *store.Store) (time.Time, error) {
	note, err := from.Note(noteComplete)
	if err != nil {
		return time.Time{}, err
	}
	return parseNote(note)
}
