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
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

// BenchmarkBulk stores and applies 2,000 objects of 1 KB, committed in batches of
// 256 as a hub sends them, until the store has all of them as Applied. The
// directory is $EDGESYNC_BENCH_DIR, or else a temporary one.
func BenchmarkBulk(b *testing.B) {
	const objects, batch = 2000, 256
	for _, workers := range []int{1, 8, 16, 32, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			var committed, applied time.Duration
			for b.Loop() {
				c, a := bulk(b, objects, batch, workers)
				committed += c
				applied += a
			}
			b.ReportMetric(committed.Seconds()/float64(b.N), "s-committed")
			b.ReportMetric(applied.Seconds()/float64(b.N), "s-applied")
		})
	}
}

func bulk(b *testing.B, objects, batch, workers int) (committed, applied time.Duration) {
	dir, err := os.MkdirTemp(os.Getenv("EDGESYNC_BENCH_DIR"), "bulk")
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(dir+"/store.db", store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	target, _ := newDirectory(b, DirectoryConfig{Path: dir + "/objects"})
	var done sync.WaitGroup
	done.Add(objects)
	engine := NewEngine(s, []Route{{Target: target}}, Options{
		Workers: workers, Logger: logr.Discard(), CheckInterval: time.Hour,
		OnResults: func(results []Result) { done.Add(-len(results)) },
	})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	start := time.Now()
	for first := 0; first < objects; first += batch {
		var ops []store.Op
		for i := first; i < min(first+batch, objects); i++ {
			ops = append(ops, store.Op{Put: &store.Put{Record: configMapEntry(fmt.Sprintf("x%04d", i), strings.Repeat("x", 1000)).Record}})
		}
		if _, err := s.Commit(ops); err != nil {
			b.Fatal(err)
		}
		for _, op := range ops {
			engine.Enqueue(op.Put.Key)
		}
	}
	committed = time.Since(start)
	done.Wait()
	applied = time.Since(start)

	stop()
	running.Wait()
	if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
		b.Fatal(err)
	}
	return committed, applied
}
