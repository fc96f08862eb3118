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

// Package config is what can be configured of an edge agent, in a file and by flags.
package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/edgesync/edgesync/edge-agent/internal/apply"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/protocol"
)

// maxFileBytes bounds the configuration file.
const maxFileBytes = 1 << 20

// Formats of the log.
const (
	LogText = "text"
	LogJSON = "json"
)

// Config is the content of the configuration file; edge-agent/config.sample.yaml
// explains it. Zero values stand for the defaults, which Complete fills in.
type Config struct {
	// Hub is the address of the hub, https://host:port, for when it is neither where the
	// machine has joined nor where the hub has said that it is.
	Hub string `json:"hub,omitempty"`
	// Labels are what the node says of itself: names without a prefix, and values of
	// Kubernetes labels. Complete adds os and arch.
	Labels map[string]string `json:"labels,omitempty"`
	// SealKeyFile is the file of the key that seals the private key of the node.
	SealKeyFile string `json:"sealKeyFile,omitempty"`
	// Targets are where objects are applied. At least one is needed.
	Targets []apply.TargetConfig `json:"targets,omitempty"`
	// MaxObjectBytes is the largest object that is accepted.
	MaxObjectBytes int `json:"maxObjectBytes,omitempty"`
	// DriftInterval is how often everything applied is checked and repaired.
	DriftInterval metav1.Duration `json:"driftInterval,omitzero"`
	// MaxReconnectDelay bounds the delay between two attempts to reach the hub.
	MaxReconnectDelay metav1.Duration `json:"maxReconnectDelay,omitzero"`
	// MetricsBindAddress is where Prometheus finds the metrics, host:port; empty for nowhere.
	MetricsBindAddress string `json:"metricsBindAddress,omitempty"`
	// Pprof serves profiles there too, to this machine alone.
	Pprof bool `json:"pprof,omitempty"`
	// LogFormat is LogText or LogJSON.
	LogFormat string `json:"logFormat,omitempty"`
}

// Load reads a configuration file. A field that is not known is an error.
func Load(path string) (Config, error) {
	var config Config
	info, err := os.Stat(path)
	if err != nil {
		return config, fmt.Errorf("read the configuration: %w", err)
	}
	if info.Size() > maxFileBytes {
		return config, fmt.Errorf("the configuration %s has %d bytes, more than %d", path, info.Size(), maxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return config, fmt.Errorf("read the configuration: %w", err)
	}
	if err := yaml.UnmarshalStrict(data, &config); err != nil {
		return config, fmt.Errorf("the configuration %s: %w", path, err)
	}
	return config, nil
}

// AddTarget adds a target from its short form, directory=/path or
// kubernetes=/path/of/kubeconfig. It is named after its type.
func (c *Config) AddTarget(short string) error {
	kind, path, _ := strings.Cut(short, "=")
	target := apply.TargetConfig{Name: c.unusedName(kind)}
	switch {
	case path == "":
		return fmt.Errorf("the target %q is not of the form directory=/path or kubernetes=/kubeconfig", short)
	case kind == "directory":
		target.Directory = &apply.DirectoryConfig{Path: path}
	case kind == "kubernetes":
		target.Kubernetes = &apply.KubernetesConfig{Kubeconfig: path}
	default:
		return fmt.Errorf("there are no targets of type %q: use directory or kubernetes", kind)
	}
	c.Targets = append(c.Targets, target)
	return nil
}

func (c *Config) unusedName(base string) string {
	used := map[string]bool{}
	for _, target := range c.Targets {
		used[target.Name] = true
	}
	name := base
	for i := 2; used[name]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	return name
}

// Complete fills in the defaults and checks what is left to check.
func (c *Config) Complete() error {
	setDefault(&c.MaxObjectBytes, protocol.MaxObjectBytes)
	setDefault(&c.DriftInterval.Duration, time.Minute)
	setDefault(&c.MaxReconnectDelay.Duration, time.Minute)
	setDefault(&c.LogFormat, LogText)
	if c.Hub != "" {
		hub, err := joinapi.ParseHub(c.Hub)
		if err != nil {
			return err
		}
		c.Hub = hub.String()
	}
	if err := errors.Join(c.completeLabels(), c.checkMetrics()); err != nil {
		return err
	}
	switch {
	case len(c.Targets) == 0:
		return errors.New("no target is configured: say where to apply objects, for example with " +
			"--target directory=/var/lib/edgesync-objects, or with targets in the file of --config")
	case c.MaxObjectBytes < 0 || c.MaxObjectBytes > protocol.MaxObjectBytes:
		return fmt.Errorf("maxObjectBytes is %d: it must be between 1 and %d", c.MaxObjectBytes, protocol.MaxObjectBytes)
	case c.DriftInterval.Duration < time.Second:
		return fmt.Errorf("driftInterval is %s: it must be at least 1s", c.DriftInterval.Duration)
	case c.MaxReconnectDelay.Duration < time.Second:
		return fmt.Errorf("maxReconnectDelay is %s: it must be at least 1s", c.MaxReconnectDelay.Duration)
	case c.LogFormat != LogText && c.LogFormat != LogJSON:
		return fmt.Errorf("the log format is %q: it must be %s or %s", c.LogFormat, LogText, LogJSON)
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
