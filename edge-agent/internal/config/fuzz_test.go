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
	"path/filepath"
	"testing"

	"github.com/edgesync/edgesync/internal/protocol"
)

// Whatever stands in the file is refused, or within its limits.
func FuzzLoad(f *testing.F) {
	sample, err := os.ReadFile("../../config.sample.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample, "directory=/x", "site=1")
	f.Add([]byte("hub: https://hub.example.com:8443\nlabels: {os: linux}\ntargets: [{name: a}]"), "kubernetes=", "=")
	f.Add([]byte("a: &a [*a, *a]"), "=", "x/y=z")
	f.Add([]byte("driftInterval: -1h\nmaxObjectBytes: 1e99"), "", "")
	f.Fuzz(func(t *testing.T, content []byte, target, label string) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load(path)
		if err != nil {
			return
		}
		_ = config.AddTarget(target)
		_ = config.AddLabel(label)
		if config.Complete() != nil {
			return
		}
		if len(config.Targets) == 0 || len(config.Labels) > protocol.MaxLabels ||
			config.MaxObjectBytes < 1 || config.MaxObjectBytes > protocol.MaxObjectBytes {
			t.Fatalf("%+v", config)
		}
	})
}
