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

package e2e

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/process"
)

// suiteFailed keeps the files of the suite for whoever looks for the cause.
var suiteFailed bool

var _ = ReportAfterEach(func(report SpecReport) { suiteFailed = suiteFailed || report.Failed() })

// report prints, when the spec has failed, what its processes and objects say of it.
func report(ctx context.Context, f *fixture) {
	var programs []*process.Program
	for _, r := range world.Replicas() {
		programs = append(programs, r.Program)
	}
	for _, n := range f.nodes {
		programs = append(programs, n.Program)
	}
	if CurrentSpecReport().Failed() {
		for _, program := range programs {
			AddReportEntry(program.Name(), program.LogTail())
		}
		AddReportEntry("status", f.statuses(ctx))
	}
	for _, program := range programs {
		expectNoCrash(program)
	}
}

// expectNoCrash fails when a program has panicked, or has found a data race in itself.
func expectNoCrash(program *process.Program) {
	GinkgoHelper()
	Expect(program.Crash()).To(BeEmpty())
}

// statuses are those of the spec's syncs and nodes.
func (f *fixture) statuses(ctx context.Context) string {
	var text strings.Builder
	for _, list := range []client.ObjectList{
		&syncv1alpha1.ObjectSyncList{}, &syncv1alpha1.ClusterObjectSyncList{}, &syncv1alpha1.EdgeNodeList{},
	} {
		err := admin.List(ctx, list, client.MatchingLabels(f.labels()))
		Expect(apimeta.EachListItem(list, func(item runtime.Object) error {
			item.(client.Object).SetManagedFields(nil)
			return nil
		})).To(Succeed())
		data, _ := yaml.Marshal(list)
		fmt.Fprintln(&text, string(data), err)
	}
	return text.String()
}
