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

package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seeds = flag.Int("seeds", 2000, "how many histories to run")
	seed  = flag.Int("seed", -1, "run just the history of this seed, and print it")
)

// maxFailures is after how many failures it makes no sense to go on.
const maxFailures = 10

func TestHistories(t *testing.T) {
	if *seed >= 0 {
		if err := play(uint64(*seed), func(line string) { t.Log(line) }); err != nil {
			t.Fatal(err)
		}
		return
	}
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for s := next.Add(1) - 1; s < int64(*seeds) && failed.Load() < maxFailures; s = next.Add(1) - 1 {
				if err := play(uint64(s), nil); err != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v\nto see its history: go test ./test/simulation -run TestHistories -v -seed %d", s, err, s)
				}
			}
		})
	}
	workers.Wait()
}

// A history is decided by its seed alone, or replaying one would be of no use.
func TestHistoriesRepeat(t *testing.T) {
	t.Parallel()
	for s := range uint64(20) {
		var first, second []string
		if err := play(s, func(line string) { first = append(first, line) }); err != nil {
			t.Fatalf("seed %d: %v", s, err)
		}
		if err := play(s, func(line string) { second = append(second, line) }); err != nil {
			t.Fatalf("seed %d: %v", s, err)
		}
		for i := range first {
			if i >= len(second) || first[i] != second[i] {
				t.Fatalf("seed %d: line %d is %q, and was %q", s, i, second[min(i, len(second)-1)], first[i])
			}
		}
	}
}

// play runs the history of a seed.
func play(seed uint64, trace func(string)) (err error) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s", string(reason))
		default:
			err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
		}
	}()
	newWorld(seed, trace).run()
	return nil
}
