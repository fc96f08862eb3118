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
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
	"github.com/edgesync/edgesync/internal/protocol/pb"
	"github.com/edgesync/edgesync/internal/testing/agentsim"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// updatePause is the pause between the end of one update and the next.
const updatePause = 20 * time.Millisecond

// updateToFile measures, with two agents as in the quickstart, the time from the API
// server's answer to an update to the renamed file of the first agent.
func updateToFile(ctx context.Context, b *bench) error {
	const name = "update"
	if err := b.createSync(ctx, name); err != nil {
		return err
	}
	agent, err := b.startAgent(ctx, "edge-1", name, fleet.AgentOptions{})
	if err != nil {
		return err
	}
	defer agent.Stop()
	second, err := b.startAgent(ctx, "edge-2", name, fleet.AgentOptions{})
	if err != nil {
		return err
	}
	defer second.Stop()

	dir := filepath.Join(agent.ObjectsDir(), name, "configmaps")
	var files *renames
	latencies, err := b.measureUpdates(ctx, name, 2, func(content string) (time.Time, error) {
		if files == nil {
			files, err = watchRenames(dir)
			return time.Time{}, err
		}
		at, err := files.next(ctx, "settings.yaml")
		if err != nil {
			return at, err
		}
		return at, expectContent(filepath.Join(dir, "settings.yaml"), content)
	})
	if files != nil {
		files.Close()
	}
	if err != nil {
		return fmt.Errorf("update to file: %w", err)
	}
	b.addLatencies("update_to_file", latencies, settings{"nodes": 2, "from": "the answer's headers are read", "to": "inotify says IN_MOVED_TO"})
	return nil
}

// updateArrival measures the time to the arrival of the frame at an agent in this process.
func updateArrival(ctx context.Context, b *bench) (err error) {
	const name = "arrival"
	if err := b.createSync(ctx, name); err != nil {
		return err
	}
	arrivals := make(chan arrival, 16)
	stop, err := b.simulateAgent(ctx, name, func(at time.Time, m *pb.HubMessage) {
		if put := m.GetPut(); put != nil {
			arrivals <- arrival{at, put.GetPayload()}
		}
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	latencies, err := b.measureUpdates(ctx, name, 1, func(content string) (time.Time, error) {
		select {
		case got := <-arrivals:
			if !bytes.Contains(got.payload, []byte(content)) {
				return got.at, errors.New("a frame with something else has arrived")
			}
			return got.at, nil
		case <-time.After(patience):
			return time.Time{}, fmt.Errorf("nothing has arrived within %s", patience)
		}
	})
	if err != nil {
		return fmt.Errorf("update to arrival: %w", err)
	}
	b.addLatencies("update_one_node_arrival", latencies, settings{"nodes": 1, "from": "the answer's headers are read", "to": "the frame is read; negative when it overtakes the answer"})
	b.addRatio("update_to_file_over_arrival_ratio", "update_to_file_median_ms", "update_one_node_arrival_median_ms")
	return nil
}

type arrival struct {
	at      time.Time
	payload []byte
}

// measureUpdates updates a ConfigMap again and again, one at a time. arrived says when
// the given content has arrived where it is waited for; it is also called with the
// first content, which is there already.
func (b *bench) measureUpdates(ctx context.Context, namespace string, nodes int, arrived func(content string) (time.Time, error)) ([]time.Duration, error) {
	progress("updating a ConfigMap in %s", namespace)
	watch := &stopwatch{}
	c, err := b.timedClient(watch)
	if err != nil {
		return nil, err
	}
	configMap := newConfigMap(namespace, "settings")
	content := fill(configMap)
	if err := c.Create(ctx, configMap); err != nil {
		return nil, err
	}
	if err := b.awaitSynced(ctx, namespace, nodes, 1); err != nil {
		return nil, err
	}
	if _, err := arrived(content); err != nil {
		return nil, err
	}
	var latencies []time.Duration
	for range b.count(200, 10) {
		content = fill(configMap)
		if err := c.Update(ctx, configMap); err != nil {
			return nil, err
		}
		at, err := arrived(content)
		if err != nil {
			return nil, err
		}
		latencies = append(latencies, at.Sub(watch.answered))
		time.Sleep(updatePause)
	}
	return latencies, nil
}

// stopwatch takes the time when an answer's headers have been read.
type stopwatch struct {
	http.RoundTripper
	answered time.Time
}

func (s *stopwatch) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.RoundTripper.RoundTrip(r)
	s.answered = time.Now()
	return response, err
}

func (b *bench) timedClient(watch *stopwatch) (client.Client, error) {
	config := b.fleet.RESTConfig()
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		watch.RoundTripper = rt
		return watch
	})
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{HTTPClient: http, Scheme: b.client.Scheme()})
}

// expectContent checks that it is the right file that was renamed.
func expectContent(path, content string) error {
	data, err := os.ReadFile(path)
	if err == nil && !bytes.Contains(data, []byte(content)) {
		err = fmt.Errorf("%s was replaced, but not by what was waited for", path)
	}
	return err
}

// simulateAgent runs an agent in this process; stop ends it.
func (b *bench) simulateAgent(ctx context.Context, name string, onMessage func(time.Time, *pb.HubMessage)) (stop func() error, err error) {
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"bench": name}}}
	if err := b.client.Create(ctx, node); err != nil {
		return nil, err
	}
	ca, err := castore.Load(ctx, b.client, fleet.Namespace, time.Now())
	if err != nil {
		return nil, err
	}
	config, err := agentsim.TLSConfig(ca, pki.Node{Name: name, UID: string(node.UID), Join: 1})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- agentsim.Run(ctx, agentsim.Config{Hub: b.fleet.HubAddress(), TLS: config, OnMessage: onMessage})
	}()
	return func() error {
		cancel()
		return <-ended
	}, nil
}

func (b *bench) addLatencies(name string, latencies []time.Duration, conditions settings) {
	milliseconds := make([]float64, len(latencies))
	for i, latency := range latencies {
		milliseconds[i] = float64(latency) / float64(time.Millisecond)
	}
	conditions["updates"] = len(latencies)
	conditions["data_bytes"] = objectBytes
	conditions["pause"] = updatePause.String()
	conditions["least"] = format(quantile(milliseconds, 0))
	conditions["most"] = format(quantile(milliseconds, 1))
	b.add(name+"_median_ms", quantile(milliseconds, 0.5), "ms", conditions)
	b.add(name+"_p99_ms", quantile(milliseconds, 0.99), "ms", conditions)
}
