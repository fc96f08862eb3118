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
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
	"github.com/edgesync/edgesync/internal/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func record(key object.Key, uid, version string) store.Record {
	return store.Record{Object: object.Object{
		Key:        key,
		APIVersion: "v1",
		Resource:   "configmaps",
		UID:        uid,
		Version:    version,
		Payload:    fmt.Appendf(nil, `{"metadata":{"name":%q},"data":{"version":%q}}`, key.Name, version),
	}}
}

func putOp(r store.Record) store.Op { return store.Op{Put: &store.Put{Record: r}} }

func deleteOp(key object.Key, uid string) store.Op {
	return store.Op{Delete: &store.Delete{Key: key, UID: uid}}
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fakeTarget holds versions. It fails as fail says, and takes its time.
type fakeTarget struct {
	t    *testing.T
	name string
	took time.Duration
	fail func(call string, key object.Key) error

	mu      sync.Mutex
	held    map[object.Key]string
	calls   []string
	running map[object.Key]bool
	most    int
}

func newFakeTarget(t *testing.T, name string) *fakeTarget {
	return &fakeTarget{t: t, name: name, held: make(map[object.Key]string), running: make(map[object.Key]bool)}
}

func (f *fakeTarget) Name() string { return f.name }

func (f *fakeTarget) Apply(ctx context.Context, entry *store.Entry) (changed bool, err error) {
	err = f.call(ctx, "apply", entry.Key, func() {
		changed = f.held[entry.Key] != entry.Version
		f.held[entry.Key] = entry.Version
	})
	return changed, err
}

func (f *fakeTarget) Remove(ctx context.Context, entry *store.Entry) error {
	return f.call(ctx, "remove", entry.Key, func() { delete(f.held, entry.Key) })
}

func (f *fakeTarget) call(ctx context.Context, what string, key object.Key, succeed func()) error {
	f.mu.Lock()
	if f.running[key] {
		f.t.Errorf("%s is worked on twice at one time", key)
	}
	f.running[key] = true
	f.most = max(f.most, len(f.running))
	f.calls = append(f.calls, what+" "+key.Name)
	f.mu.Unlock()
	if f.took > 0 {
		select {
		case <-time.After(f.took):
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, key)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f.fail != nil {
		if err := f.fail(what, key); err != nil {
			return err
		}
	}
	succeed()
	return nil
}

// change makes a change that the engine's goroutines see.
func (f *fakeTarget) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeTarget) takeCalls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// bench is an engine that runs on a store, within a synctest bubble.
type bench struct {
	*WithT
	t       *testing.T
	store   *store.Store
	engine  *Engine
	mu      sync.Mutex
	results []Result
	stop    func()
}

func newBench(t *testing.T, s *store.Store, options Options, targets ...Target) *bench {
	b := &bench{WithT: NewWithT(t), t: t, store: s}
	options.Logger = logr.Discard()
	options.OnResults = func(results []Result) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.results = append(b.results, results...)
	}
	var routes []Route
	for _, target := range targets {
		routes = append(routes, Route{Target: target})
	}
	b.engine = NewEngine(s, routes, options)
	return b
}

func (b *bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.engine.Run(ctx) }()
	b.stop = func() {
		cancel()
		b.Expect(<-ended).To(Succeed())
	}
	synctest.Wait()
}

func (b *bench) commit(ops ...store.Op) {
	b.t.Helper()
	outcomes, err := b.store.Commit(ops)
	b.Expect(err).NotTo(HaveOccurred())
	for i, op := range ops {
		switch {
		case !outcomes[i].Work:
		case op.Put != nil:
			b.engine.Enqueue(op.Put.Key)
		default:
			b.engine.Enqueue(op.Delete.Key)
		}
	}
	synctest.Wait()
}

func (b *bench) state(key object.Key) store.State { return b.entry(key).State }

func (b *bench) entry(key object.Key) store.Entry {
	b.t.Helper()
	entry, _, err := b.store.Get(key)
	b.Expect(err).NotTo(HaveOccurred())
	return entry
}

func (b *bench) takeResults() []Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	results := b.results
	b.results = nil
	return results
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestEngineAppliesAndRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, cluster := newFakeTarget(t, "files"), newFakeTarget(t, "cluster")
		b := newBench(t, openStore(t), Options{}, files, cluster)
		b.run()
		defer b.stop()

		r := record(configMapKey, "uid", "1")
		b.commit(putOp(r))
		b.Expect(b.state(configMapKey)).To(Equal(store.Applied))
		b.Expect(files.held).To(HaveKeyWithValue(configMapKey, "1"))
		b.Expect(cluster.held).To(HaveKeyWithValue(configMapKey, "1"))
		b.Expect(b.takeResults()).To(Equal([]Result{{
			Key: configMapKey, UID: "uid", Digest: object.DigestOf(r.Payload), State: store.Applied,
		}}))

		same := r
		same.Version = "2"
		b.commit(putOp(same))
		b.Expect(files.held).To(HaveKeyWithValue(configMapKey, "2"))
		b.Expect(b.takeResults()).To(ConsistOf(HaveField("State", store.Applied)))

		b.commit(deleteOp(configMapKey, "uid"))
		b.Expect(files.held).To(BeEmpty())
		b.Expect(cluster.held).To(BeEmpty())
		b.Expect(b.takeResults()).To(ConsistOf(HaveField("State", store.Removed)))
		count, _, err := b.store.InventoryDigest()
		b.Expect(err).NotTo(HaveOccurred())
		b.Expect(count).To(BeZero())
	})
}

func TestEngineStartsWithWhatIsUnfinishedInTheOrderOfRanks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		target.took = time.Millisecond
		s := openStore(t)
		gone := object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "gone"}
		oldNamespace := object.Key{Kind: "Namespace", Name: "old"}
		b := newBench(t, s, Options{}, target)
		_, err := s.Commit([]store.Op{
			putOp(record(gone, "uid", "1")), deleteOp(gone, "uid"),
			putOp(record(oldNamespace, "uid", "1")), deleteOp(oldNamespace, "uid"),
			putOp(record(deploymentKey, "uid", "1")), putOp(record(configMapKey, "uid", "1")), putOp(record(namespaceKey, "uid", "1")),
		})
		b.Expect(err).NotTo(HaveOccurred())
		b.run()
		defer b.stop()
		wait(time.Second)
		b.Expect(target.takeCalls()).To(Equal([]string{
			"apply shop", "apply settings", "apply web", "remove gone", "remove old",
		}))
	})
}

func TestEngineWorksInParallelWithinARank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		target.took = time.Second
		b := newBench(t, openStore(t), Options{Workers: 5}, target)
		b.run()
		defer b.stop()
		var ops []store.Op
		for i := range 10 {
			ops = append(ops, putOp(record(object.Key{Kind: "ConfigMap", Name: fmt.Sprint(i)}, "uid", "1")))
		}
		b.commit(ops...)
		wait(2 * time.Second)
		b.Expect(target.held).To(HaveLen(10))
		b.Expect(target.most).To(Equal(5))
	})
}

func TestEngineTriesAgainWithGrowingDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		target := newFakeTarget(t, "files")
		target.fail = func(string, object.Key) error {
			if broken {
				return errors.New("disk on fire")
			}
			return nil
		}
		b := newBench(t, openStore(t), Options{FirstRetry: time.Second, MaxRetry: 8 * time.Second, CheckInterval: time.Hour}, target)
		b.run()
		defer b.stop()

		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.state(configMapKey)).To(Equal(store.Failed))
		b.Expect(b.entry(configMapKey).Message).To(Equal("files: disk on fire"))
		b.Expect(b.takeResults()).To(HaveLen(1))
		target.takeCalls()

		wait(15 * time.Second)
		calls := len(target.takeCalls())
		b.Expect(calls).To(BeNumerically(">=", 4), "delays of at most 1, 2, 4 and 8 seconds")
		b.Expect(calls).To(BeNumerically("<=", 6), "delays of at least 0.5, 1, 2, 4, 4 and 4 seconds")
		b.Expect(b.takeResults()).To(BeEmpty(), "the same failure is no news")

		target.change(func() { broken = false })
		wait(8 * time.Second)
		b.Expect(b.state(configMapKey)).To(Equal(store.Applied))
		b.Expect(b.takeResults()).To(ConsistOf(HaveField("State", store.Applied)))
		target.takeCalls()
		wait(time.Minute)
		b.Expect(target.takeCalls()).To(BeEmpty())
	})
}

func TestEngineAppliesANewVersionAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		b := newBench(t, openStore(t), Options{FirstRetry: time.Hour, MaxRetry: time.Hour, CheckInterval: 24 * time.Hour}, target)
		target.fail = func(string, object.Key) error { return errors.New("no") }
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		target.change(func() { target.fail = nil })
		b.commit(putOp(record(configMapKey, "uid", "2")))
		b.Expect(b.state(configMapKey)).To(Equal(store.Applied))
		target.takeCalls()
		wait(3 * time.Hour)
		b.Expect(target.takeCalls()).To(BeEmpty(), "the retry is superseded")
	})
}

func TestANewVersionStartsWithShortDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		target.fail = func(string, object.Key) error { return errors.New("no") }
		b := newBench(t, openStore(t), Options{FirstRetry: time.Second, MaxRetry: time.Hour, CheckInterval: 24 * time.Hour}, target)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		wait(time.Hour)
		b.commit(putOp(record(configMapKey, "uid", "2")))
		target.takeCalls()
		wait(time.Second)
		b.Expect(target.takeCalls()).To(HaveLen(1))
	})
}

func TestEngineDoesNotRepeatWhatIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := newFakeTarget(t, "good"), newFakeTarget(t, "bad")
		bad.fail = func(string, object.Key) error { return fmt.Errorf("%w: no such name", ErrInvalid) }
		b := newBench(t, openStore(t), Options{CheckInterval: 24 * time.Hour}, good, bad)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.state(configMapKey)).To(Equal(store.Failed))
		b.Expect(good.held).To(HaveLen(1))
		good.takeCalls()
		wait(time.Hour)
		b.Expect(good.takeCalls()).To(BeEmpty())
	})
}

func TestWaitingIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "cluster")
		target.fail = func(string, object.Key) error { return fmt.Errorf("%w for finalizers", ErrWaiting) }
		b := newBench(t, openStore(t), Options{}, target)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.state(configMapKey)).To(Equal(store.Pending))
		b.commit(deleteOp(configMapKey, "uid"))
		b.Expect(b.state(configMapKey)).To(Equal(store.Removing))
		b.Expect(b.entry(configMapKey).Message).To(Equal("cluster: waiting for finalizers"))
		target.change(func() { target.fail = nil })
		wait(time.Second)
		b.Expect(b.state(configMapKey)).To(BeZero())
	})
}

func TestEngineRepairsWithoutALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		b := newBench(t, openStore(t), Options{CheckInterval: time.Minute}, target)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")), putOp(record(secretKey, "uid", "1")))
		b.takeResults()
		target.takeCalls()

		wait(time.Minute)
		b.Expect(target.takeCalls()).To(ConsistOf("apply settings", "apply token"))
		b.Expect(b.engine.Repairs()).To(BeZero())

		target.change(func() { delete(target.held, configMapKey) })
		wait(time.Minute)
		b.Expect(target.held).To(HaveKeyWithValue(configMapKey, "1"))
		b.Expect(b.engine.Repairs()).To(BeEquivalentTo(1))
		b.Expect(b.takeResults()).To(BeEmpty())

		target.change(func() {
			target.fail = func(string, object.Key) error { return errors.New("read-only") }
		})
		wait(time.Minute)
		b.Expect(b.state(configMapKey)).To(Equal(store.Failed))
		b.Expect(b.takeResults()).To(ConsistOf(HaveField("State", store.Failed), HaveField("State", store.Failed)))
	})
}

func TestEngineChecksWhatWasAppliedBeforeItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		s := openStore(t)
		first := newBench(t, s, Options{}, target)
		first.run()
		first.commit(putOp(record(configMapKey, "uid", "1")))
		first.stop()

		target.held = make(map[object.Key]string)
		second := newBench(t, s, Options{}, target)
		second.run()
		defer second.stop()
		second.Expect(target.held).To(HaveKey(configMapKey))
		second.Expect(second.engine.Repairs()).To(BeEquivalentTo(1))
	})
}

func TestAnObjectThatGoesNowhereIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, openStore(t), Options{})
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.state(configMapKey)).To(Equal(store.Applied))
	})
}

func TestTheErrorsOfSeveralTargetsAreOneLine(t *testing.T) {
	t.Parallel()
	err := targetErrors{errors.New("files: no room"), errors.New("k3s: no answer\nfrom the webhook")}.join()
	result := resultOf(&store.Entry{State: store.Pending}, err)
	NewWithT(t).Expect(result.Message).To(Equal("files: no room; k3s: no answer; from the webhook"))
}

func TestACallThatHangsIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "cluster")
		target.took = 365 * 24 * time.Hour
		b := newBench(t, openStore(t), Options{Timeout: 5 * time.Second, FirstRetry: time.Hour, CheckInterval: 24 * time.Hour}, target)
		b.run()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.state(configMapKey)).To(Equal(store.Pending))
		wait(5 * time.Second)
		b.Expect(b.state(configMapKey)).To(Equal(store.Failed))
		b.Expect(b.entry(configMapKey).Message).To(ContainSubstring("deadline exceeded"))

		b.commit(putOp(record(secretKey, "uid", "1")))
		b.stop()
		b.Expect(b.state(secretKey)).To(Equal(store.Pending), "the end of the agent is no failure")
	})
}

// One target does not answer for any of very many objects.
func TestATargetThatHangsDoesNotStarveTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, files := newFakeTarget(t, "cluster"), newFakeTarget(t, "files")
		hung.took = 365 * 24 * time.Hour
		b := newBench(t, openStore(t), Options{})
		b.engine.routes = []Route{
			{Target: hung, Match: Match{Kinds: []string{"ConfigMap"}}},
			{Target: files, Match: Match{Kinds: []string{"Deployment.apps"}}},
		}
		b.run()
		defer b.stop()
		var ops []store.Op
		for i := range 300 {
			ops = append(ops, putOp(record(object.Key{Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprint(i)}, "uid", "1")))
		}
		b.commit(append(ops, putOp(record(deploymentKey, "uid", "1")))...)
		wait(time.Hour) // more than the first attempts take
		b.Expect(b.state(deploymentKey)).To(Equal(store.Applied))

		b.commit(putOp(record(deploymentKey, "uid", "2")))
		b.Expect(b.state(deploymentKey)).To(Equal(store.Applied), "there is a worker left")
		files.change(func() { clear(files.held) })
		wait(2 * time.Minute)
		b.Expect(files.held).To(HaveKey(deploymentKey), "what others change is repaired")

		hung.change(func() { hung.took = 0 })
		wait(5 * time.Minute)
		b.Expect(hung.held).To(HaveLen(300))
	})
}

func TestNothingIsKeptOfAnObjectThatWasReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		target.fail = func(string, object.Key) error { return errors.New("no") }
		b := newBench(t, openStore(t), Options{FirstRetry: time.Second}, target)
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(b.engine.retries).To(HaveKey(configMapKey))
		b.commit(store.Op{Delete: &store.Delete{Key: configMapKey, UID: "uid", Release: true}})
		wait(time.Second)
		b.Expect(b.engine.retries).To(BeEmpty())
	})
}

// The machine's disk loses what was stored, while the agent runs.
func TestADamagedStoreEndsTheEngine(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := store.Open(path, store.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	_, err = s.Commit([]store.Op{putOp(record(configMapKey, "uid", "1"))})
	g.Expect(err).NotTo(HaveOccurred())
	damage(g, path, `"version":"1"`)

	target := newFakeTarget(t, "files")
	engine := NewEngine(s, []Route{{Target: target}}, Options{Logger: logr.Discard()})
	g.Expect(engine.Run(t.Context())).To(MatchError(store.ErrCorrupt))
	g.Expect(target.takeCalls()).To(BeEmpty())
}

// damage overwrites the first place of a file where text stands.
func damage(g *WithT, path, text string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	g.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	content, err := io.ReadAll(file)
	g.Expect(err).NotTo(HaveOccurred())
	at := bytes.Index(content, []byte(text))
	g.Expect(at).To(BeNumerically(">", 0))
	_, err = file.WriteAt(make([]byte, len(text)), int64(at))
	g.Expect(err).NotTo(HaveOccurred())
}

func TestNothingIsReportedThatWasNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		s := openStore(t)
		b := newBench(t, s, Options{FirstRetry: time.Hour}, target)
		target.took = time.Second
		b.run()
		defer b.stop()
		b.commit(putOp(record(configMapKey, "uid", "1")))
		b.Expect(s.Close()).To(Succeed())
		wait(10 * time.Second)
		b.Expect(b.takeResults()).To(BeEmpty())
	})
}

// A disk that is full for a day is one line in the log, and not one for every attempt.
func TestThatNothingCanBeRecordedIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		var logged []string
		s := openStore(t)
		e := NewEngine(s, nil, Options{
			FirstRetry: time.Hour,
			Logger:     funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{}),
		})
		defer e.stopRetries()
		batch := []finished{{result: Result{Key: configMapKey, State: store.Applied}}}
		e.recordBatch(batch)
		g.Expect(logged).To(BeEmpty())
		g.Expect(s.Close()).To(Succeed())
		for range 3 {
			e.recordBatch(batch)
		}
		g.Expect(logged).To(HaveExactElements(ContainSubstring("Cannot record")))
	})
}

func TestChurnEndsWithWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		target.took = time.Millisecond
		count := 0
		target.fail = func(string, object.Key) error {
			if count++; count%5 == 0 {
				return errors.New("now and then")
			}
			return nil
		}
		b := newBench(t, openStore(t), Options{}, target)
		b.run()
		defer b.stop()
		want := make(map[object.Key]string)
		for round := range 30 {
			var ops []store.Op
			for i := range 20 {
				key := object.Key{Kind: "ConfigMap", Name: fmt.Sprint(i)}
				version := fmt.Sprint(round*20 + i + 1)
				if want[key] != "" && (round+i)%3 == 0 {
					ops = append(ops, deleteOp(key, "uid"))
					delete(want, key)
				} else if (round+i)%2 == 0 {
					ops = append(ops, putOp(record(key, "uid", version)))
					want[key] = version
				}
			}
			b.commit(ops...)
			wait(time.Duration(round%4) * time.Millisecond)
		}
		target.change(func() { target.fail = nil })
		wait(time.Hour)
		b.Expect(target.held).To(Equal(want))
		var unclean []string
		b.Expect(b.store.ForEach(func(e store.Entry) error {
			if e.State != store.Applied {
				unclean = append(unclean, e.Key.String())
			}
			return nil
		})).To(Succeed())
		b.Expect(unclean).To(BeEmpty())
	})
}

func TestLargeObjectsAreAppliedOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newFakeTarget(t, "files")
		target.took = time.Second
		b := newBench(t, openStore(t), Options{}, target)
		b.run()
		defer b.stop()
		var ops []store.Op
		for i := range 3 {
			r := record(object.Key{Kind: "ConfigMap", Name: fmt.Sprint(i)}, "uid", "1")
			r.Payload = make([]byte, largeBytes+1)
			ops = append(ops, putOp(r))
		}
		b.commit(ops...)
		wait(3 * time.Second)
		b.Expect(target.held).To(HaveLen(3))
		b.Expect(target.most).To(Equal(1))
	})
}
