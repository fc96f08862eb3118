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
	"net"
	"strings"
	"time"

	"github.com/edgesync/edgesync/edge-agent/internal/apply"
	"github.com/edgesync/edgesync/edge-agent/internal/config"
	"github.com/edgesync/edgesync/edge-agent/internal/link"
	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/edge-agent/metrics"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// observer passes on what is to be counted, if metrics are wanted. Its zero value does not.
type observer struct {
	*metrics.Metrics
	listener net.Listener
	pprof    bool
}

// observe opens the listener of the metrics, if they are wanted.
func (a *agent) observe(configuration *config.Config) (observer, error) {
	if configuration.MetricsBindAddress == "" {
		return observer{}, nil
	}
	listener, err := net.Listen("tcp", configuration.MetricsBindAddress)
	if err != nil {
		return observer{}, fmt.Errorf("serve metrics: %w", err)
	}
	var targets []string
	for _, target := range configuration.Targets {
		targets = append(targets, target.Name)
	}
	a.log.Info("Serving metrics", "address", listener.Addr().String())
	return observer{Metrics: metrics.New(targets, a.metrics), listener: listener, pprof: configuration.Pprof}, nil
}

func (o *observer) close() {
	if o.listener != nil {
		_ = o.listener.Close()
	}
}

func (o *observer) run(ctx context.Context) error {
	if o.Metrics == nil {
		return nil
	}
	return o.Serve(ctx, o.listener, o.pprof)
}

func (o *observer) onCommit() func(time.Duration, error) {
	if o.Metrics == nil {
		return nil
	}
	return o.Committed
}

func (o *observer) onCall() func(string, bool, error, time.Duration) {
	if o.Metrics == nil {
		return nil
	}
	return func(target string, changed bool, err error, took time.Duration) {
		o.Worked(target, resultLabel(changed, err), took)
	}
}

func resultLabel(changed bool, err error) string {
	switch {
	case errors.Is(err, apply.ErrProgressing):
		return metrics.Progressing
	case errors.Is(err, apply.ErrWaiting):
		return metrics.Waiting
	case err != nil:
		return metrics.Failed
	case changed:
		return metrics.Changed
	default:
		return metrics.Unchanged
	}
}

// metrics is the state of the agent for a scrape.
func (a *agent) metrics() (metrics.State, error) {
	status, counters := a.link.Status(), a.link.Counters()
	state := metrics.State{
		Connected:          status.Connected,
		LastSync:           status.CompletedAt,
		Objects:            map[string]int{},
		CertificateExpires: a.identity.Current().NotAfter(),
		Attempts:           counters.Attempts,
		Sessions:           counters.Sessions,
		ReceivedBytes:      counters.ReceivedBytes,
		SentBytes:          counters.SentBytes,
		Nacks:              map[string]uint64{},
		Repairs:            a.engine.Repairs(),
	}
	for _, code := range link.NackCodes {
		state.Nacks[label(code.String(), "NACK_CODE_")] = counters.Nacks[code]
	}
	for _, s := range store.States {
		state.Objects[stateLabel(s)] = 0
	}
	var err, noteErr error
	if state.LastSync.IsZero() {
		state.LastSync, noteErr = lastSync(a.store)
	}
	state.StoreBytes, err = a.store.Size()
	return state, errors.Join(err, noteErr, a.store.ForEach(func(entry store.Entry) error {
		state.Objects[stateLabel(entry.State)]++
		return nil
	}))
}

// stateLabel calls a state as the hub does in its metrics.
func stateLabel(state store.State) string {
	return label(pb.ApplyState(state).String(), "APPLY_STATE_")
}

func label(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }
