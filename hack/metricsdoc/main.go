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

// Command metricsdoc prints the table of the manager's own metrics for docs/metrics.md.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	_ "github.com/edgesync/edgesync/controllers"
	_ "github.com/edgesync/edgesync/internal/enroll"
	_ "github.com/edgesync/edgesync/internal/hub"
	"github.com/edgesync/edgesync/internal/metricsdoc"
	_ "github.com/edgesync/edgesync/internal/pki/castore"
)

func main() {
	registry, ok := metrics.Registry.(metricsdoc.Registry)
	if !ok {
		fmt.Fprintln(os.Stderr, "metricsdoc: the registry cannot be asked for what it holds")
		os.Exit(1)
	}
	if err := metricsdoc.Write(os.Stdout, registry, "edgesync_"); err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}
