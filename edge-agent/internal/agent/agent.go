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

// Package agent puts the parts of the edge agent together: the store between the
// link to the hub and the targets, and the status of all of them.
package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/edgesync/edgesync/edge-agent/internal/apply"
	"github.com/edgesync/edgesync/edge-agent/internal/config"
	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/edge-agent/internal/link"
	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
	"github.com/edgesync/edgesync/internal/version"
)

const (
	storeFile  = "store.db"
	bootIDFile = "/proc/sys/kernel/random/boot_id"
	// noteInterval is how often a running agent notes down how far it is.
	noteInterval = 10 * time.Minute
	// noteComplete is when the hub had last sent everything.
	noteComplete = "complete"
)

// agent is a running edge agent.
type agent struct {
	store    *store.Store
	engine   *apply.Engine
	link     *link.Link
	identity *identity.Keeper
	renewer  *renewer
	// presented is the identity of the last connection.
	presented atomic.Pointer[identity.Identity]
	// hub takes the place of the addresses in the identity, if there is one.
	hub string
	log logr.Logger
}

// Run runs the agent of a state directory until ctx is done. Only one can run per
// directory. It returns an error when it cannot start or go on: what may pass, such as
// a hub out of reach, is none.
func Run(ctx context.Context, stateDir string, configuration config.Config, log logr.Logger) error {
	keeper, err := openIdentity(stateDir, configuration.SealKeyFile)
	if err != nil {
		return err
	}
	a := &agent{identity: keeper, hub: configuration.Hub, log: log}
	observer, err := a.observe(&configuration)
	if err != nil {
		return err
	}
	defer observer.close()
	opened, err := store.Open(filepath.Join(stateDir, storeFile), store.Options{OnCommit: observer.onCommit()})
	if err != nil {
		return err
	}
	defer func() {
		if err := opened.Close(); err != nil {
			log.Error(err, "Cannot close the store")
		}
	}()
	routes, err := apply.NewRoutes(configuration.Targets)
	if err != nil {
		return err
	}
	listener, err := listen(stateDir)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()

	a.store, a.renewer = opened, a.newRenewer()
	a.engine = apply.NewEngine(opened, routes, apply.Options{
		CheckInterval: configuration.DriftInterval.Duration,
		OnResults:     func(results []apply.Result) { a.link.Report(resultsToPB(results)...) },
		OnCall:        observer.onCall(),
		Logger:        log.WithName("apply"),
	})
	a.link = link.New(link.Config{
		Hubs:           a.hubs,
		TLS:            a.tlsConfig,
		HubInfoDigest:  func() object.Digest { return keeper.Current().HubInfoDigest() },
		OnHubInfo:      a.hubInfo,
		Labels:         configuration.Labels,
		Store:          opened,
		Apply:          a.engine.Enqueue,
		AgentVersion:   version.Version,
		BootID:         bootID(),
		MaxObjectBytes: configuration.MaxObjectBytes,
		MaxDelay:       configuration.MaxReconnectDelay.Duration,
		Log:            log.WithName("link"),
	})
	log.Info("Started", "node", keeper.Current().Node(), "hub", a.hubs()[0], "version", version.Version)
	defer log.Info("Stopped")

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.engine.Run(ctx) })
	group.Go(func() error { return a.link.Run(ctx) })
	group.Go(func() error { return a.renewer.run(ctx) })
	group.Go(func() error { return serve(ctx, listener, a.status) })
	group.Go(func() error { return a.takeNotes(ctx) })
	group.Go(func() error { return observer.run(ctx) })
	return group.Wait()
}

// takeNotes writes down, now and then, what `edge-agent status` can tell of an agent
// that does not run. The view, if it is not durable yet, is written with it.
func (a *agent) takeNotes(ctx context.Context) error {
	ticker := time.NewTicker(noteInterval)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-ticker.C:
		}
		if err := a.store.SaveView(); err != nil {
			a.log.Error(err, "Cannot store how much the hub knew")
		}
		completed := a.link.Status().CompletedAt
		if completed.IsZero() {
			continue
		}
		if err := a.store.SetNote(noteComplete, completed.UTC().Format(time.RFC3339)); err != nil {
			a.log.Error(err, "Cannot note down when the hub had sent everything")
		}
	}
	return nil
}

func resultsToPB(results []apply.Result) []*pb.ApplyResult {
	converted := make([]*pb.ApplyResult, len(results))
	for i, result := range results {
		converted[i] = &pb.ApplyResult{
			Key:     protocol.KeyToPB(result.Key),
			Uid:     result.UID,
			Digest:  result.Digest[:],
			State:   pb.ApplyState(result.State),
			Message: result.Message,
		}
	}
	return converted
}

// bootID tells one boot of the machine from the next; empty where there is none.
func bootID() string {
	id, err := os.ReadFile(bootIDFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

func parseNote(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("a note of the store: %w", err)
	}
	return at, nil
}
