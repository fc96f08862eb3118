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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/protocol/pb"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// valueBytes is the size of one key with its value.
const valueBytes = 32

// wireBytes counts what one changed key costs on the wire, with the real edge-agent.
func wireBytes(ctx context.Context, b *bench) error {
	const name = "wire"
	records, err := startRecorder(b.fleet.HubAddress())
	if err != nil {
		return err
	}
	defer records.Close()
	if err := b.createSync(ctx, name); err != nil {
		return err
	}
	agent, err := b.startAgent(ctx, name, name, fleet.AgentOptions{HubURL: "https://" + records.Addr().String()})
	if err != nil {
		return err
	}
	defer agent.Stop()
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1kb", 1 << 10}, {"10kb", 10 << 10}, {"100kb", 100 << 10}} {
		up, err := b.countWireBytes(ctx, records, name, size.name, size.bytes/valueBytes, "delta_")
		if err != nil {
			return err
		}
		if size.name == "1kb" {
			b.addAnswerBytes(up)
		}
	}
	b.addGrowth("delta_wire_bytes", "delta_1kb_wire_bytes", "delta_10kb_wire_bytes", "delta_100kb_wire_bytes")
	for _, whole := range []struct {
		name      string
		encodings []pb.Encoding
	}{{"json", []pb.Encoding{}}, {"zstd", []pb.Encoding{pb.Encoding_ENCODING_ZSTD}}} {
		if err := b.countWithoutDifferences(ctx, records, whole.name, whole.encodings); err != nil {
			return err
		}
	}
	return nil
}

// countWithoutDifferences counts the same for a simulated agent that declares other encodings.
func (b *bench) countWithoutDifferences(ctx context.Context, records *recorder, encoding string, declared []pb.Encoding) error {
	namespace := "wire-" + encoding
	if err := b.createSync(ctx, namespace); err != nil {
		return err
	}
	crowd, err := b.startCrowd(ctx, 1, crowdOptions{hub: records.Addr().String(), only: declared})
	if err != nil {
		return err
	}
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: nodeName(0)}}
	label := fmt.Sprintf(`{"metadata":{"labels":{"bench":%q}}}`, namespace)
	if err := b.client.Patch(ctx, node, client.RawPatch(types.MergePatchType, []byte(label))); err != nil {
		return err
	}
	if err := crowd.join(ctx); err != nil {
		return err
	}
	for size, bytes := range map[string]int{"1kb": 1 << 10, "100kb": 100 << 10} {
		if _, err := b.countWireBytes(ctx, records, namespace, size, bytes/valueBytes, "whole_"+encoding+"_"); err != nil {
			return err
		}
	}
	return crowd.Close()
}

// countWireBytes creates a ConfigMap of many keys, and then changes one of them again and again.
func (b *bench) countWireBytes(
	ctx context.Context, records *recorder, namespace, name string, keys int, figure string,
) (up [][]int, err error) {
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "settings-" + name, Labels: map[string]string{"bench": namespace}},
		Data:       map[string]string{},
	}
	for i := range keys {
		configMap.Data[fmt.Sprintf("key-%04d", i)] = randomText()[:valueBytes-8]
	}
	full, _, err := b.recordsDuring(ctx, records, func() error { return b.client.Create(ctx, configMap) })
	if err != nil {
		return nil, err
	}
	var down [][]int
	for i := range b.count(10, 3) {
		configMap.Data[fmt.Sprintf("key-%04d", i*7%keys)] = randomText()[:valueBytes-8]
		d, u, err := b.recordsDuring(ctx, records, func() error { return b.client.Update(ctx, configMap) })
		if err != nil {
			return nil, err
		}
		down, up = append(down, d), append(up, u)
	}
	b.add(figure+name+"_wire_bytes", medianOf(down, total), "bytes", settings{
		"changes": len(down), "keys": keys, "new_value_bytes": valueBytes - 8, "records_of_the_last": down[len(down)-1],
		"where": "TLS records as TCP carries them", "first_delivery": total(full),
	})
	return up, nil
}

// addAnswerBytes adds what the answers to changes of a small object cost.
func (b *bench) addAnswerBytes(up [][]int) {
	b.add("ack_wire_bytes", medianOf(up, first), "bytes", settings{"changes": len(up), "what": "the first record of the answer"})
	b.add("answers_wire_bytes", medianOf(up, total), "bytes", settings{
		"changes": len(up), "records_of_the_last": up[len(up)-1], "what": "the ack, and the result of applying it",
	})
}

func total(records []int) (sum int) {
	for _, record := range records {
		sum += record
	}
	return sum
}

func first(records []int) int { return records[0] }

func medianOf(changes [][]int, of func([]int) int) float64 {
	var values []int
	for _, records := range changes {
		values = append(values, of(records))
	}
	return float64(quantile(values, 0.5))
}

func randomText() string {
	var configMap corev1.ConfigMap
	return strings.Clone(fill(&configMap))
}

// recordsDuring are the records of one change, until the node has applied it.
func (b *bench) recordsDuring(ctx context.Context, records *recorder, change func() error) (down, up []int, err error) {
	before, err := b.managerMetrics(ctx)
	if err != nil {
		return nil, nil, err
	}
	records.take()
	if err := change(); err != nil {
		return nil, nil, err
	}
	if _, err := b.awaitCounter(ctx, appliedMetric, progressOf(before, appliedMetric)+1); err != nil {
		return nil, nil, err
	}
	if err := pause(ctx, 100*time.Millisecond); err != nil { // for a Bookmark
		return nil, nil, err
	}
	down, up = records.take()
	if len(down) == 0 || len(up) == 0 {
		return nil, nil, errors.New("a change that nothing was sent for")
	}
	return down, up, nil
}
