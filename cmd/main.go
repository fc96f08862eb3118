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

// The manager decides what every edge node should hold, and delivers it: it runs the
// reconcilers and the hub.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/edgesync/edgesync/internal/version"
)

func main() {
	if err := newRootCommand().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	options := defaultOptions()
	root := &cobra.Command{
		Use:   "manager",
		Short: "Deliver Kubernetes objects to machines at the edge",
		Long: "Without a subcommand, the manager runs: its reconcilers work out what every edge node should hold,\n" +
			"and its hub delivers it to the agents that connect.",
		Version:       version.Version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), options)
		},
	}
	options.bind(root.Flags())
	root.AddCommand(newTokenCommand(clusterAccess{connect: connect}), newCACommand())
	return root
}
