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
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func (p *plugin) rollout() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout",
		Short: "Pause and resume the delivery of a sync, or wait for it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.rolloutStatus(),
		p.rolloutChange("pause", "Suspend a sync: nodes keep what they hold, deletions included", p.pause),
		p.rolloutChange("resume", "Let a sync go on that is suspended, or whose rollout is paused by failures", p.resume))
	return cmd
}

func (p *plugin) rolloutStatus() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:               "status SYNC",
		Short:             "Wait until every connected node is synced, as `status --wait` does",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSyncs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			s, err := p.getSync(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return p.waitSynced(cmd.Context(), c, s, timeout)
		},
	}
	addTimeoutFlag(cmd, &timeout)
	return cmd
}

// rolloutChange is a command that changes a sync and says what it has done.
func (p *plugin) rolloutChange(name, short string, change func(context.Context, client.Client, sync) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use:               name + " SYNC",
		Short:             short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeSyncs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			s, err := p.getSync(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			done, err := change(cmd.Context(), c, s)
			if err == nil {
				fmt.Fprintf(p.streams.Out, "%s/%s %s\n", s.resource(), s.GetName(), done)
			}
			return err
		},
	}
}

func (p *plugin) pause(ctx context.Context, c client.Client, s sync) (string, error) {
	if s.spec.Suspend {
		return "is paused already", nil
	}
	return "paused", merge(ctx, c, s.Object, map[string]any{"spec": map[string]any{"suspend": true}})
}

// resume ends a suspension. If failures have paused the rollout, it goes on in spite of
// them, until the objects change.
func (p *plugin) resume(ctx context.Context, c client.Client, s sync) (string, error) {
	paused := s.status.Rollout != nil && s.status.Rollout.Paused
	if !s.spec.Suspend && !paused {
		return "is not paused", nil
	}
	change := map[string]any{}
	if s.spec.Suspend {
		change["spec"] = map[string]any{"suspend": false}
	}
	if paused {
		change["metadata"] = annotations(syncv1alpha1.AnnotationResumeRollout, s.status.Rollout.Revision)
	}
	return "resumed", merge(ctx, c, s.Object, change)
}

func annotations(name, value string) map[string]any {
	return map[string]any{"annotations": map[string]any{name: value}}
}

func annotate(ctx context.Context, c client.Client, obj client.Object, name, value string) error {
	return merge(ctx, c, obj, map[string]any{"metadata": annotations(name, value)})
}

// merge changes what is in patch, and nothing else.
func merge(ctx context.Context, c client.Client, obj client.Object, patch map[string]any) error {
	data, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return c.Patch(ctx, obj, client.RawPatch(types.MergePatchType, data), client.FieldOwner("kubectl-edgesync"))
}
