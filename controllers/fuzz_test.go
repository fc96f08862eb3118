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

package controllers

import (
	"maps"
	"strings"
	"testing"

	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// Whatever a node says of itself, the labels are valid, bounded in number, and those that
// others have given are as they were.
func FuzzSelfLabels(f *testing.F) {
	f.Add("region=eu\nself.sync.edgesync.io/os=linux", "os=windows\narch=arm64")
	f.Add("", "../region=us\nregion=us \nsync.edgesync.io/region=us\n=\n/=")
	f.Add("self.sync.edgesync.io/=x", strings.Repeat("a", 64)+"=b\nb="+strings.Repeat("c", 64))
	f.Fuzz(func(t *testing.T, before, claims string) {
		labels := pairs(before)
		if len(metav1validation.ValidateLabels(labels, field.NewPath("labels"))) > 0 {
			return // the API server has no such EdgeNode
		}
		after, _ := withSelfLabels(labels, pairs(claims))
		if problems := metav1validation.ValidateLabels(after, field.NewPath("labels")); len(problems) > 0 {
			t.Fatal(problems.ToAggregate())
		}
		if !maps.Equal(given(after), given(labels)) || len(after)-len(given(after)) > maxSelfLabels {
			t.Fatalf("%v became %v", labels, after)
		}
	})
}

func pairs(text string) map[string]string {
	pairs := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			pairs[name] = value
		}
	}
	return pairs
}

// given are the labels that the node does not say of itself.
func given(labels map[string]string) map[string]string {
	given := maps.Clone(labels)
	maps.DeleteFunc(given, func(key, _ string) bool { return strings.HasPrefix(key, syncv1alpha1.SelfLabelPrefix) })
	return given
}
