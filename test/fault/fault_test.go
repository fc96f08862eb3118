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

// Package fault disturbs a whole fleet at random while it works: real programs, whose
// links are delayed, cut and silenced, which are killed and paused, whose disks fill up
// and whose clocks jump. When all is well again every node must hold just what it should.
package fault

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

var (
	faultCount   = flag.Int("faults", 40, "number of faults")
	seedFlag     = flag.Uint64("seed", 0, "seed of the choices; 0 draws one")
	withClocks   = flag.Bool("clocks", false, "have clocks jump too, for which the programs are built with another package time")
	replicaCount = flag.Int("replicas", 3, "number of managers")
	keep         = flag.Bool("keep", false, "keep the directory with the logs in any case")
)

const (
	// deadline bounds every wait for a state that must come, on a machine however busy.
	deadline = 5 * time.Minute
	polling  = 250 * time.Millisecond
	// concurrentFaults is how many faults there are at most at a time.
	concurrentFaults = 5
	// longestPause is between the starts of two faults.
	longestPause = 1500 * time.Millisecond
)

func TestMain(m *testing.M) {
	flag.Parse()
	logf.SetLogger(logr.Discard())
	format.MaxLength = 3000
	SetDefaultEventuallyTimeout(deadline)
	SetDefaultEventuallyPollingInterval(polling)
	os.Exit(m.Run())
}

func TestFaults(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d faults with -seed=%d", *faultCount, seed)
	w := newWorld(t, seed)
	w.start()
	w.warmUp(rand.New(rand.NewPCG(seed, 0)))
	before := w.atRest("before the faults")

	stopSupervising := w.inBackground(w.supervise)
	stopWorking := w.inBackground(func(ctx context.Context) { w.work(ctx, rand.New(rand.NewPCG(seed, 1))) })
	w.disturb(t.Context(), rand.New(rand.NewPCG(seed, 2)), *faultCount)
	stopWorking()

	w.heal()
	after := w.atRest("after the faults")
	w.expectNothingLeaked(before, after)
	stopSupervising()
	w.compareGoroutines()
	w.expectNoCrash()
	t.Logf("%d faults, %d changes; %s", *faultCount, w.changes.Load(), w.history.summary())
}

// inBackground runs do until stop is called, or the test ends.
func (w *world) inBackground(do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { do(ctx) })
	stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(stop)
	return stop
}
