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
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

const sampleNamespace, sampleName = "quickstart", "settings"

// sample is a ConfigMap, and an ObjectSync that selects every node of the quickstart.
func sample() []client.Object {
	meta := metav1.ObjectMeta{Namespace: sampleNamespace, Name: sampleName}
	return []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: sampleNamespace}},
		&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"greeting": "hello, edge"}},
		&syncv1alpha1.ObjectSync{ObjectMeta: meta, Spec: syncv1alpha1.SyncSpec{
			ObjectRef:    &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: sampleName},
			NodeSelector: &metav1.LabelSelector{MatchLabels: nodeLabels},
		}},
	}
}

func sampleFile(a *fleet.Agent) string {
	return filepath.Join(a.ObjectsDir(), sampleNamespace, "configmaps", sampleName+".yaml")
}

// deliverSample applies the sample once for each directory, and waits until all nodes
// have it.
func (q *quickstart) deliverSample(ctx context.Context) error {
	if q.record.SampleApplied {
		return q.settle(ctx)
	}
	name := fmt.Sprintf("sample: ConfigMap and ObjectSync %s/%s", sampleNamespace, sampleName)
	var applied time.Time
	var inFiles, inStatus time.Duration
	err := q.step(name, func() error {
		c, err := q.fleet.Client()
		if err != nil {
			return err
		}
		for _, o := range sample() {
			if err := c.Create(ctx, o); client.IgnoreAlreadyExists(err) != nil {
				return fmt.Errorf("create the sample: %w", err)
			}
		}
		applied = time.Now()
		if err := poll(ctx, q.allHaveTheFile); err != nil {
			return fmt.Errorf("the sample has not reached the nodes: %w (see `make quickstart-status`)", err)
		}
		inFiles = time.Since(applied)
		if err := waitSynced(ctx, c); err != nil {
			return err
		}
		inStatus = time.Since(applied)
		return nil
	})
	if err != nil {
		return err
	}
	q.say("  from its creation to the files of both nodes %s, to synced: %d in its status %s",
		inFiles.Round(time.Millisecond), len(nodeNames), inStatus.Round(time.Millisecond))
	q.record.SampleApplied = true
	return q.record.save(q.dir)
}

// settleTimeout is a few times as long as the manager takes to write what has changed.
const settleTimeout = 5 * time.Second

// settle gives the status of the sample time to tell of nodes that have just come back,
// if the sample is still there and selects them.
func (q *quickstart) settle(ctx context.Context) error {
	c, err := q.fleet.Client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	err = poll(ctx, func() (bool, error) {
		var sync syncv1alpha1.ObjectSync
		err := c.Get(ctx, client.ObjectKey{Namespace: sampleNamespace, Name: sampleName}, &sync)
		return err != nil || sync.Status.Offline == 0, client.IgnoreNotFound(err)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (q *quickstart) allHaveTheFile() (bool, error) {
	for _, a := range q.agents {
		if _, err := os.Stat(sampleFile(a)); err != nil {
			return false, nil
		}
	}
	return true, nil
}

func waitSynced(ctx context.Context, c client.Client) error {
	var sync syncv1alpha1.ObjectSync
	err := poll(ctx, func() (bool, error) {
		err := c.Get(ctx, client.ObjectKey{Namespace: sampleNamespace, Name: sampleName}, &sync)
		synced := apimeta.IsStatusConditionTrue(sync.Status.Conditions, syncv1alpha1.ConditionSynced)
		return synced && int(sync.Status.Synced) == len(nodeNames), err
	})
	if err != nil {
		return fmt.Errorf("the status of the sample does not say that it is synced: %w: %+v", err, sync.Status)
	}
	return nil
}
