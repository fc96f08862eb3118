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
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/apply"
	"github.com/edgesync/edgesync/internal/protocol"
)

func load(t *testing.T, content string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	NewWithT(t).Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	return Load(path)
}

func TestTheSampleIsValid(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config, err := Load("../../config.sample.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Complete()).To(Succeed())
	g.Expect(config.Targets).To(HaveLen(2))
	g.Expect(config.Targets[0].Directory.Path).To(Equal("/var/lib/edgesync-objects"))
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ content, want string }{
		"empty":             {"", ""},
		"an unknown field":  {"target: []", `unknown field "target"`},
		"a field twice":     {"logFormat: json\nlogFormat: text", "logFormat"},
		"no YAML":           {"{", "config.yaml"},
		"a bad duration":    {"driftInterval: soon", "soon"},
		"an unknown target": {"targets: [{name: a, podman: {}}]", `unknown field "podman"`},
		"too large":         {string(make([]byte, maxFileBytes+1)), "more than"},
		"the wrong type":    {"maxObjectBytes: many", "maxObjectBytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.content)
			if test.want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
			} else {
				NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var config Config
	g.Expect(config.AddTarget("directory=/x")).To(Succeed())
	g.Expect(config.Complete()).To(Succeed())
	g.Expect(config.MaxObjectBytes).To(Equal(protocol.MaxObjectBytes))
	g.Expect(config.DriftInterval.Duration).To(Equal(time.Minute))
	g.Expect(config.MaxReconnectDelay.Duration).To(Equal(time.Minute))
	g.Expect(config.LogFormat).To(Equal(LogText))
}

func TestCompleteRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"maxObjectBytes is -1":     func(c *Config) { c.MaxObjectBytes = -1 },
		"driftInterval is 1ms":     func(c *Config) { c.DriftInterval.Duration = time.Millisecond },
		"maxReconnectDelay is -1s": func(c *Config) { c.MaxReconnectDelay.Duration = -time.Second },
		`the log format is "xml"`:  func(c *Config) { c.LogFormat = "xml" },
		"must look like https":     func(c *Config) { c.Hub = "hub.example.com" },
		"has none of its own":      func(c *Config) { c.Labels = map[string]string{"a/b": "c"} },
		`the label name ""`:        func(c *Config) { c.Labels = map[string]string{"": "c"} },
		`the value "c d"`:          func(c *Config) { c.Labels = map[string]string{"a": "c d"} },
		"and can be 32": func(c *Config) {
			for i := range protocol.MaxLabels - 1 {
				_ = c.AddLabel(fmt.Sprintf("label-%d=x", i))
			}
		},
		"no target is configured": func(c *Config) { c.Targets = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			var config Config
			g.Expect(config.AddTarget("directory=/x")).To(Succeed())
			change(&config)
			g.Expect(config.Complete()).To(MatchError(ContainSubstring(name)))
		})
	}
}

func TestShortTargetsGetNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var config Config
	for _, short := range []string{"directory=/a", "kubernetes=/b", "directory=/c=d", "directory=/e"} {
		g.Expect(config.AddTarget(short)).To(Succeed())
	}
	g.Expect(config.Targets).To(Equal([]apply.TargetConfig{
		{Name: "directory", Directory: &apply.DirectoryConfig{Path: "/a"}},
		{Name: "kubernetes", Kubernetes: &apply.KubernetesConfig{Kubeconfig: "/b"}},
		{Name: "directory-2", Directory: &apply.DirectoryConfig{Path: "/c=d"}},
		{Name: "directory-3", Directory: &apply.DirectoryConfig{Path: "/e"}},
	}))
}

func TestLabels(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	config, err := load(t, "targets: [{name: a, directory: {path: /a}}]\nlabels: {site: berlin, os: own}")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.AddLabel("site=rome")).To(Succeed())
	g.Expect(config.AddLabel("empty=")).To(Succeed())
	g.Expect(config.AddLabel("half")).To(MatchError(ContainSubstring("not of the form name=value")))
	g.Expect(config.Complete()).To(Succeed())
	g.Expect(config.Labels).To(Equal(map[string]string{"site": "rome", "os": "own", "arch": runtime.GOARCH, "empty": ""}))
}
