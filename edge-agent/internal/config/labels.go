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
	"maps"
	"runtime"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/edgesync/edgesync/internal/protocol"
)

// AddLabel adds what the node says of itself from its short form, name=value.
func (c *Config) AddLabel(short string) error {
	name, value, found := strings.Cut(short, "=")
	if !found {
		return fmt.Errorf("the label %q is not of the form name=value", short)
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	c.Labels[name] = value
	return nil
}

// completeLabels adds what the program knows of the machine, unless it is said already.
func (c *Config) completeLabels() error {
	labels := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH}
	maps.Copy(labels, c.Labels)
	if n := len(labels); n > protocol.MaxLabels {
		return fmt.Errorf("there are %d labels, with os and arch, and can be %d", n, protocol.MaxLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if err := checkLabel(name, labels[name]); err != nil {
			return err
		}
	}
	c.Labels = labels
	return nil
}

func checkLabel(name, value string) error {
	problems := validation.IsQualifiedName(name)
	if strings.Contains(name, "/") {
		problems = []string{"it stands under a prefix that the hub sets, and has none of its own"}
	}
	if len(problems) > 0 {
		return fmt.Errorf("the label name %q: %s", name, strings.Join(problems, "; "))
	}
	if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
		return fmt.Errorf("the value %q of the label %s: %s", value, name, strings.Join(problems, "; "))
	}
	return nil
}
