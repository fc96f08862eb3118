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

// Quickstart runs a small fleet on this machine: a control plane, the manager and two
// edge agents, which go on running when it ends. Everything is kept in one directory.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

func main() {
	log.SetLogger(logr.Discard()) // errors are returned, and the programs have logs of their own
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	interrupted := ctx.Err() != nil
	stop()
	if err == nil {
		return
	}
	if interrupted { // which is what the error is about
		fmt.Fprintln(os.Stderr, "Interrupted. What was started goes on running: `make quickstart` goes on from here, `make quickstart-down` removes it.")
	} else {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	os.Exit(1)
}

func newCommand() *cobra.Command {
	var dir string
	root := &cobra.Command{
		Use:           "quickstart",
		Short:         "Run a control plane, the manager and two edge agents on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&dir, "dir", "", "directory of everything that runs (default .quickstart of the source tree)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return completeDir(&dir) }
	root.AddCommand(newUp(&dir), newStatus(&dir), newDown(&dir))
	return root
}

func completeDir(dir *string) error {
	if *dir == "" {
		root, err := controlplane.ModuleRoot()
		if err != nil {
			return err
		}
		*dir = filepath.Join(root, ".quickstart")
	}
	var err error
	*dir, err = filepath.Abs(*dir)
	return err
}

func newUp(dir *string) *cobra.Command {
	var wanted ports
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start what does not run; data of an earlier run is kept",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), *dir, wanted, cmd.OutOrStdout())
		},
	}
	for _, p := range wanted.all() {
		cmd.Flags().IntVar(p.port, p.flag, 0, fmt.Sprintf("port of %s (default that of the run before, or %d)", p.use, p.preset))
	}
	return cmd
}

func newStatus(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what runs, and where the agents stand",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return status(cmd.Context(), *dir, cmd.OutOrStdout())
		},
	}
}

func newDown(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop it all and remove the directory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return down(*dir, cmd.OutOrStdout())
		},
	}
}
