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

// Package command is the command line of the edge agent.
package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgesync/edgesync/internal/version"
)

// ErrNotInSync is what the status command returns when it has said all that is to be
// said: only the exit code is left to set.
var ErrNotInSync = errors.New("not connected, or not in sync")

const defaultStateDir = "/var/lib/edgesync"

// New makes the command edge-agent.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "edge-agent",
		Short: "Keep a machine at the edge in sync with what a Kubernetes cluster says it should hold",
		Long: "edge-agent connects a machine to the hub of an edgesync manager, stores the Kubernetes objects that\n" +
			"it is given, applies them to local targets, and reports what became of them. It goes on applying\n" +
			"what it holds for as long as the hub cannot be reached.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.Version,
	}
	root.AddCommand(newJoin(), newRun(), newStatus(), newVersion())
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version.Version)
			return err
		},
	}
}

// addStateDir adds the flag that every command about one agent has.
func addStateDir(cmd *cobra.Command, stateDir *string) {
	cmd.Flags().StringVar(stateDir, "state-dir", stateDirDefault(os.Getenv("STATE_DIRECTORY")),
		"directory of the identity and of the store; its default is $STATE_DIRECTORY where systemd sets that")
}

// addSealKeyFile adds the flag of the commands that need the private key.
func addSealKeyFile(flags *pflag.FlagSet, path *string) {
	flags.StringVar(path, "seal-key-file", "",
		"file of the key, 32 to 4096 bytes, that seals the private key of the node on disk; "+
			"by default the systemd credential edgesync-seal-key where there is one")
}

// stateDirDefault is the first of the directories that systemd names, if any.
func stateDirDefault(fromSystemd string) string {
	if directories := filepath.SplitList(fromSystemd); len(directories) > 0 {
		return directories[0]
	}
	return defaultStateDir
}
