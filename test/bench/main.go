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

// Bench measures edgesync as it runs: a real etcd and kube-apiserver, the manager and
// agents as processes of their own, on this machine. It prints a table and writes
// the results as JSON.
//
//	go run ./test/bench -group sync
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// A benchmark reports what it has measured to b. Those of a group share a fleet and run
// one after the other; what one starts it also stops.
type benchmark struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var groups = map[string][]benchmark{
	"sync": {
		{"agent-binary", agentBinary},
		{"update-to-file", updateToFile},
		{"update-arrival", updateArrival},
		{"bulk-delivery", bulkDelivery},
		{"footprint", deliveryFootprint},
		{"live-delivery", liveDelivery},
	},
	"fleet": {
		{"idle", idle},
		{"fanout", fanout},
		{"restart", restart},
		{"first-contact", firstContact},
		{"update-latency", updateLatency},
		{"stuck-object", stuckObject},
		{"catch-up", catchUp},
		{"bulk-to-one", bulkToOne},
		{"wire-bytes", wireBytes},
	},
}

// options are the flags.
type options struct {
	group string
	only  string
	out   string
	dir   string
	pprof string
	short bool
	// mostIdle bounds the sessions of the idle benchmark.
	mostIdle int
}

func main() {
	log.SetLogger(logr.Discard()) // whatever goes wrong is an error that is returned
	var o options
	flag.StringVar(&o.group, "group", "", "run this group only: "+strings.Join(groupNames(), ", "))
	flag.StringVar(&o.only, "only", "", "run this benchmark only: "+strings.Join(benchmarkNames(groupNames()...), ", "))
	flag.StringVar(&o.out, "out", "bench/results.json", "file for the results")
	flag.StringVar(&o.dir, "dir", "bench", "directory below which everything runs: fsync has to mean something there")
	flag.StringVar(&o.pprof, "pprof", "", "have the manager serve /debug/pprof at this address, such as 127.0.0.1:6060")
	flag.IntVar(&o.mostIdle, "most-idle", 10_000, "measure idle sessions up to this number, at least 5,000")
	flag.BoolVar(&o.short, "short", false, "do little of everything: that it runs is all that the figures then say")
	flag.Parse()
	if err := runUntilSignal(&o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func runUntilSignal(o *options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return o.run(ctx, os.Stdout)
}

func groupNames() []string { return slices.Sorted(maps.Keys(groups)) }

func benchmarkNames(groupNames ...string) (names []string) {
	for _, group := range groupNames {
		for _, benchmark := range groups[group] {
			names = append(names, benchmark.name)
		}
	}
	return names
}

// run runs the chosen groups. What has been measured before something fails is
// reported all the same.
func (o *options) run(ctx context.Context, stdout io.Writer) error {
	chosen := groupNames()
	if o.group != "" {
		if groups[o.group] == nil {
			return fmt.Errorf("there is no group %q: use one of %s", o.group, strings.Join(chosen, ", "))
		}
		chosen = []string{o.group}
	}
	if names := benchmarkNames(chosen...); o.only != "" && !slices.Contains(names, o.only) {
		return fmt.Errorf("there is no benchmark %q: use one of %s", o.only, strings.Join(names, ", "))
	}
	report, err := newReport(o.short)
	if err != nil {
		return err
	}
	for _, name := range chosen {
		benchmarks := slices.DeleteFunc(slices.Clone(groups[name]), func(benchmark benchmark) bool {
			return o.only != "" && benchmark.name != o.only
		})
		if len(benchmarks) == 0 {
			continue
		}
		if err = o.runGroup(ctx, benchmarks, report); err != nil {
			err = fmt.Errorf("group %s: %w", name, err)
			break
		}
	}
	report.print(stdout)
	if writeErr := report.write(o.out); writeErr != nil && err == nil {
		err = writeErr
	}
	return err
}
