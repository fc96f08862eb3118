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

package config

import (
	"os"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"
)

// An alert on a metric that does not exist never fires, and nobody would know.
func TestAlertsAndDashboardUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	documented, err := os.ReadFile("../docs/metrics.md")
	g.Expect(err).NotTo(HaveOccurred())
	exists := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(edgesync_[a-z_]+)` \\| ([a-z]+)").FindAllSubmatch(documented, -1) {
		name, kind := string(row[1]), string(row[2])
		exists[name] = true
		if kind == "histogram" {
			exists[name+"_bucket"], exists[name+"_sum"], exists[name+"_count"] = true, true, true
		}
	}
	for _, file := range []string{"prometheus/rules.yaml", "prometheus/dashboard.json"} {
		content, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		used := regexp.MustCompile(`\bedgesync_[a-z_]+`).FindAllString(string(content), -1)
		g.Expect(used).NotTo(BeEmpty(), file)
		for _, name := range used {
			g.Expect(exists).To(HaveKey(name), "%s uses %s, which docs/metrics.md does not know", file, name)
		}
	}
}
