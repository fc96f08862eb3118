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

package main

import (
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/edgesync/edgesync/internal/version"
)

// plugin is what all commands share.
type plugin struct {
	streams genericiooptions.IOStreams
	flags   *genericclioptions.ConfigFlags
	now     func() time.Time
}

func newPlugin(streams genericiooptions.IOStreams, now func() time.Time) *plugin {
	return &plugin{streams: streams, flags: genericclioptions.NewConfigFlags(true), now: now}
}

func (p *plugin) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-edgesync",
		Short: "See what machines at the edge should hold, what they hold, and why",
		Long: "See what machines at the edge should hold, what they hold, and why.\n\n" +
			"A SYNC is the name of an ObjectSync in the namespace, or objectsync/NAME, or clusterobjectsync/NAME.",
		Version:       version.Version,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl edgesync"},
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(p.streams.In)
	root.SetOut(p.streams.Out)
	root.SetErr(p.streams.ErrOut)
	p.flags.AddFlags(root.PersistentFlags())
	root.AddCommand(p.nodes(), p.status(), p.diff(), p.why(), p.token(), p.approveDeletes(), p.rollout())
	return root
}
