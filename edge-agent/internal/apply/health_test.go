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

package apply

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

// healthTarget is a fakeTarget that judges what it holds.
type healthTarget struct {
	*fakeTarget
	health error
}

func newHealthTarget(t *testing.T, health error) *healthTarget {
	return &healthTarget{fakeTarget: newFakeTarget(t, "cluster"), health: health}
}

func (h *healthTarget) judge() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health
}

func (h *healthTarget) Apply(ctx context.Context, entry *store.Entry) (changed bool, err error) {
	if changed, err = h.fakeTarget.Apply(ctx, entry); err == nil {
		err = h.judge()
	}
	return changed, err
}

func (h *healthTarget) Health(ctx context.Context, entry *store.Entry) error {
	return errors.Join(h.call(ctx, "health", entry.Key, func() {}), h.judge())
}

func progressing(message string) error { return fmt.Errorf("%w: %s", ErrProgressing, message) }

func TestWhatIsNotHealthyYetIsProgressing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, cluster := newFakeTarget(t, "files"), newHealthTarget(t, progressing("0 of 2"))
		b := newBench(t, openStore(t), Options{CheckInterval: time.Hour}, files, cluster)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.entry(configMapKey)).To(And(
			HaveField("State", store.Progressing), HaveField("Message", "cluster: not healthy yet: 0 of 2")))
		b.Expect(b.takeResults()).To(HaveExactElements(HaveField("State", store.Progressing)))
		b.Expect(cluster.takeCalls()).To(Equal([]string{"apply settings"}))

		cluster.change(func() { cluster.health = progressing("1 of 2") })
		wait(10 * time.Second)
		calls := cluster.takeCalls()
		b.Expect(len(calls)).To(BeNumerically("<=", 7), "it is asked ever more rarely")
		b.Expect(calls).To(HaveEach("health settings"))
		b.Expect(b.takeResults()).To(HaveExactElements(HaveField("Message", "cluster: not healthy yet: 1 of 2")))
		b.Expect(files.takeCalls()).To(HaveLen(1), "a target without health has nothing to do")

		cluster.change(func() { cluster.health = nil })
		wait(20 * time.Second)
		b.Expect(b.takeResults()).To(HaveExactElements(And(HaveField("State", store.Applied), HaveField("Message", ""))))
		cluster.takeCalls()
		wait(30 * time.Minute)
		b.Expect(cluster.takeCalls()).To(BeEmpty())
	})
}

func TestWhatIsNotHealthyYetIsRepairedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newHealthTarget(t, progressing("0 of 2"))
		b := newBench(t, openStore(t), Options{CheckInterval: time.Minute}, cluster)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		cluster.change(func() { delete(cluster.held, configMapKey) })
		wait(time.Minute)
		b.Expect(cluster.held).To(HaveKey(configMapKey))
		b.Expect(b.engine.Repairs()).To(BeEquivalentTo(1))
		cluster.takeCalls()
		wait(time.Hour)
		b.Expect(len(cluster.takeCalls())).To(BeNumerically("<=", 3*60), "what never becomes healthy costs little")
		b.Expect(b.state(configMapKey)).To(Equal(store.Progressing))
	})
}

func TestWhatIsUnhealthyHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newHealthTarget(t, fmt.Errorf("%w: deadline exceeded", ErrUnhealthy))
		b := newBench(t, openStore(t), Options{}, cluster)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.entry(configMapKey)).To(And(
			HaveField("State", store.Failed), HaveField("Message", "cluster: not healthy: deadline exceeded")))

		cluster.change(func() { cluster.health = progressing("recovers") })
		wait(time.Minute)
		b.Expect(b.state(configMapKey)).To(Equal(store.Progressing))
		cluster.change(func() { cluster.health = nil })
		wait(2 * time.Minute)
		b.Expect(b.state(configMapKey)).To(Equal(store.Applied))
	})
}

func TestWhatWasHealthyOnceStaysApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newHealthTarget(t, nil)
		b := newBench(t, openStore(t), Options{CheckInterval: time.Minute}, cluster)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.takeResults()
		for _, health := range []error{progressing("a node went away"), ErrUnhealthy} {
			cluster.change(func() { cluster.health = health })
			wait(5 * time.Minute)
			b.Expect(b.state(configMapKey)).To(Equal(store.Applied))
			b.Expect(b.takeResults()).To(BeEmpty())
		}
		b.commit(putOp(record(configMapKey, "uid", "2")))
		b.Expect(b.state(configMapKey)).To(Equal(store.Failed), "new content has to become healthy anew")
	})
}

func TestHealthIsJudgedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newHealthTarget(t, progressing("0 of 2"))
		s := openStore(t)
		first := newBench(t, s, Options{}, cluster)
		first.run()
		first.commit(putOp(record(configMapKey, "uid", "1")))
		first.stop()
		cluster.health = nil
		second := newBench(t, s, Options{}, cluster)
		second.run()
		defer second.stop()
		second.Expect(second.state(configMapKey)).To(Equal(store.Applied))
		second.Expect(second.takeResults()).To(And(Not(BeEmpty()), HaveEach(HaveField("State", store.Applied))))
	})
}

func TestErrorsOfSeveralTargetsAreAsBadAsTheWorst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		errs targetErrors
		want store.State
	}{
		{targetErrors{ErrProgressing, ErrProgressing}, store.Progressing},
		{targetErrors{ErrProgressing, ErrWaiting}, store.Pending},
		{targetErrors{ErrProgressing, errors.New("no")}, store.Failed},
		{targetErrors{ErrProgressing, ErrUnhealthy}, store.Failed},
		{targetErrors{ErrProgressing, ErrInvalid}, store.Failed},
	} {
		entry := &store.Entry{Record: store.Record{Object: object.Object{Key: configMapKey}}, State: store.Pending}
		NewWithT(t).Expect(resultOf(entry, test.errs.join()).State).To(Equal(test.want), "%v", test.errs)
	}
}

func TestHealthByKind(t *testing.T) {
	t.Parallel()
	deployment := func(status map[string]any) map[string]any {
		return map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"name": "web", "generation": int64(2)},
			"spec":     map[string]any{"replicas": int64(1), "progressDeadlineSeconds": int64(10)}, "status": status,
		}
	}
	condition := func(kind, status, reason string) map[string]any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": "it " + reason}
	}
	for name, test := range map[string]struct {
		content map[string]any
		want    error
	}{
		"a kind without status": {map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}}, nil},
		"a status that makes no sense": {map[string]any{
			"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "a"}, "status": "fine"}, nil},
		"a custom resource that is ready": {map[string]any{
			"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "a"},
			"status": map[string]any{"conditions": []any{condition("Ready", "True", "Done")}}}, nil},
		"a custom resource that is not ready": {map[string]any{
			"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "a"},
			"status": map[string]any{"conditions": []any{condition("Ready", "False", "Works")}}}, ErrProgressing},
		"a custom resource that is stalled": {map[string]any{
			"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "a"},
			"status": map[string]any{"conditions": []any{condition("Stalled", "True", "Broken")}}}, ErrUnhealthy},
		"a deployment that nobody has seen": {deployment(map[string]any{"observedGeneration": int64(1)}), ErrProgressing},
		"a deployment that is available": {deployment(map[string]any{
			"observedGeneration": int64(2), "replicas": int64(1), "updatedReplicas": int64(1), "readyReplicas": int64(1),
			"availableReplicas": int64(1), "conditions": []any{
				condition("Available", "True", "Up"), condition("Progressing", "True", "NewReplicaSetAvailable")}}), nil},
		"a deployment that takes too long": {deployment(map[string]any{
			"observedGeneration": int64(2), "conditions": []any{condition("Progressing", "False", "ProgressDeadlineExceeded")}}), ErrUnhealthy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			err := health(&unstructured.Unstructured{Object: test.content})
			if test.want == nil {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(test.want))
			}
		})
	}
}
