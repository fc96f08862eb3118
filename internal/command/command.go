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

// Package command holds what the manager and the plugin of kubectl share of the commands for
// administrators.
package command

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// InstallNamespace is where the manager is installed unless somebody chose otherwise.
const InstallNamespace = "edgesync-system"

// NoCA explains that there is no CA in the namespace; err is what the API server said.
func NoCA(namespace string, err error) error {
	return fmt.Errorf("the manager makes its CA when it first starts, but there is none in namespace %s: "+
		"start the manager, or name its namespace with --namespace: %w", namespace, err)
}

// AddOutputFlag adds the flag -o. CheckOutput says whether its value is one.
func AddOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "", `output format: empty for people, or "json"`)
}

// CheckOutput returns an error unless output is a value that AddOutputFlag allows.
func CheckOutput(output string) error {
	if output != "" && output != "json" {
		return fmt.Errorf("unknown output format %q: use json, or leave it out", output)
	}
	return nil
}

// PrintJSON writes value as -o json has it.
func PrintJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
